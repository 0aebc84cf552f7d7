// SPDX-License-Identifier: MIT
// What the page of tool/views shows of a made-up trace, and that these checks notice one that is not so:
//
//     node check_page.mjs MAKE_PAGE PACKAGES OUT
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { Checks, finish, open_page, start_browser } from "./browser.mjs";

const [make_page, packages, out] = process.argv.slice(2);
const TURN = 100000; // ns
const CONTEXT_COLOURS = { interrupt: "#e9a23b", trap: "#4c83e6", NMI: "#d83a3a", call: "#9a7bd0" };

function make(name, events, ...damage) {
  const file = `${out}/${name}.html`;
  const expected = JSON.parse(execFileSync(make_page, [file, String(events), ...damage], { encoding: "utf8" }));
  return { url: pathToFileURL(file).href, expected };
}

async function colour_at(page, cpu, row, time) {
  const bytes = await page.evaluate(([cpu, row, time]) => {
    const { timeline } = window.nmisafe, place = window.nmisafe.place(cpu, row, time), box = timeline.canvas.getBoundingClientRect();
    timeline.draw_now();
    // The upper edge: names are in the middle.
    return [...timeline.canvas.getContext("2d").getImageData(Math.round(place.x - box.left), Math.round(place.y - box.top - 6), 1, 1).data];
  }, [cpu, row, time]);
  return "#" + bytes.slice(0, 3).map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function hover(page, cpu, row, time) {
  const place = await page.evaluate((where) => window.nmisafe.place(...where), [cpu, row, time]);
  await page.mouse.move(place.x, place.y - 2);
  return page.evaluate(() => { const one = document.getElementById("tooltip"); return one.hidden ? "" : one.innerText; });
}

const range = (page) => page.evaluate(() => [window.nmisafe.timeline.begin, window.nmisafe.timeline.end]);

async function check_timeline(page, expected, checks) {
  const summary = await page.evaluate(() => window.nmisafe.summary());
  checks.equal("CPUs", summary.cpus.map((one) => one.cpu), [0, 1]);
  checks.equal("rows", summary.cpus.map((one) => one.rows), [5, 5]);
  checks.equal("events", summary.cpus.reduce((sum, one) => sum + one.events, 0), expected.events);
  checks.equal("spans", summary.cpus.reduce((sum, one) => sum + one.spans, 0), expected.spans);
  checks.equal("losses", summary.cpus.map((one) => one.lost), [0, 1234]);
  checks.equal("samples", summary.samples, expected.samples);
  const facts = await page.innerText("#facts");
  checks.that("the events' number can be read", facts.includes(expected.events.toLocaleString("en") + " events") && facts.includes("1,234 lost"));

  await page.evaluate((turn) => window.nmisafe.timeline.show(10 * turn, 12 * turn), TURN);
  // An NMI over a page fault over an interrupt over a system call over a task.
  const middle = 10 * TURN + 1000 + 46000;
  for (const [row, context, text] of [[4, "NMI", "NMI on CPU 1"], [3, "trap", "trap on CPU 1"], [2, "interrupt", "interrupt on CPU 1"],
                                      [1, "call", "system call on CPU 1"], [0, null, "task on CPU 1"]]) {
    if (context) checks.equal(`the colour of row ${row}`, await colour_at(page, 1, row, middle), CONTEXT_COLOURS[context]);
    checks.that(`the tooltip of row ${row} says ${text}`, (await hover(page, 1, row, middle)).includes(text));
  }
  checks.that("a page fault has its name", (await hover(page, 1, 3, middle)).startsWith("#PF"));
  checks.that("a length is shown", (await hover(page, 1, 4, middle)).includes("8.000 µs"));
  const event = await hover(page, 1, -1, 10 * TURN + 1000 + 30000);
  checks.that("an event shows its fields", event.includes("trap_entry") && event.includes("handle_timer+0x1c") && event.includes("vector") && event.includes("2 contexts interrupted"));
}

async function check_moves(page, checks) {
  await page.focus("#lanes");
  const [begin, end] = await range(page);
  await page.keyboard.press("w");
  const [zoomed_begin, zoomed_end] = await range(page);
  checks.that("w zooms in", zoomed_begin > begin && zoomed_end < end);
  await page.keyboard.press("d");
  checks.that("d moves on", (await range(page))[0] > zoomed_begin);
  await page.keyboard.press("0");
  const all = await range(page);
  checks.equal("0 shows all from", all[0], 0);
  const place = await page.evaluate((turn) => window.nmisafe.place(0, 0, 100 * turn), TURN);
  await page.mouse.move(Math.round(place.x), place.y);
  for (let i = 0; i < 4; ++i) await page.mouse.wheel(0, -300);
  await page.waitForFunction((length) => window.nmisafe.timeline.end - window.nmisafe.timeline.begin < length / 2, all[1]);
  const after = await page.evaluate((turn) => window.nmisafe.place(0, 0, 100 * turn), TURN);
  checks.that("the wheel zooms where the pointer is", Math.abs(after.x - place.x) < 6);
  const [before_drag] = await range(page);
  await page.mouse.down();
  await page.mouse.move(place.x - 120, place.y, { steps: 4 });
  await page.mouse.up();
  checks.that("what is dragged to the left comes later", (await range(page))[0] > before_drag);

  await page.keyboard.press("/");
  await page.keyboard.type("#pf");
  const turns = await page.evaluate((turn) => Math.floor(window.nmisafe.trace.length / turn) - 1, TURN);
  checks.equal("matches", await page.innerText("#matches"), 2 * turns + " matches");
  await page.keyboard.press("Enter");
  checks.that("Enter goes to a match", (await page.innerText("#details")).startsWith("#PF"));
  await page.keyboard.press("Escape");
  checks.equal("Escape ends the search", await page.innerText("#matches"), "");
  await page.keyboard.press("0");
  await page.waitForFunction(() => window.nmisafe.timeline.begin === 0);
  const loss = await page.evaluate(() => window.nmisafe.trace.cpus[1].losses.begin[0]);
  const lane_top = await page.evaluate((time) => { const at = window.nmisafe.place(1, 4, time + 100); return { x: at.x + 2, y: at.y }; }, loss);
  await page.evaluate((time) => window.nmisafe.timeline.show(time - 300000, time + 300000), loss);
  checks.that("a loss says how much", lane_top.x > 0 && (await hover(page, 1, 4, loss + 5000)).includes("1234 events lost"));
}

async function check_flame(page, expected, checks) {
  await page.click("#tab-flame");
  const functions = Object.fromEntries((await page.evaluate(() => window.nmisafe.summary().functions)).map((one) => [one.name, [one.self, one.total]]));
  checks.equal("walk_tables has all samples", functions.walk_tables, [expected.samples, expected.samples]);
  checks.equal("main has the tasks'", functions.main, [0, functions.editor[1] + functions.compiler[1]]);
  checks.that("the list of functions is shown", (await page.innerText("#functions")).includes("walk_tables"));
  const box = await page.locator("#flames").boundingBox();
  const place = await page.evaluate(() => { const one = window.nmisafe.flame.placed.find((each) => each.node.name === "draw"); return [one.x + one.width / 2, one.y + 8]; });
  await page.mouse.click(box.x + place[0], box.y + place[1]);
  checks.that("a click shows a function alone", await page.evaluate(() => window.nmisafe.flame.focus.name === "draw" &&
    window.nmisafe.flame.placed.find((one) => one.node.name === "draw").width === window.nmisafe.flame.canvas.clientWidth));
  checks.that("its samples are said", (await page.innerText("#details")).includes(`draw ${functions.draw[1]} samples`));
}

async function check(browser, made, name) {
  const checks = new Checks(name), page = await open_page(browser);
  await page.goto(made.url);
  await check_timeline(page, made.expected, checks);
  if (name === "page") {
    await page.screenshot({ path: `${out}/timeline.png` });
    await check_moves(page, checks);
    await page.keyboard.press("0");
    await page.screenshot({ path: `${out}/all.png` });
    await check_flame(page, made.expected, checks);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForFunction(() => document.documentElement.classList.contains("dark")); // the page is told later
    checks.equal("the dark background", await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(18, 21, 27)");
    await page.screenshot({ path: `${out}/flame.png` });
  }
  checks.equal("errors", page.problems, []);
  checks.equal("what was fetched", page.requests.filter((url) => !url.startsWith("data:")), [made.url]);
  await page.close();
  return checks;
}

async function check_large(browser) {
  const made = make("large", 1000000), checks = new Checks("a million events"), page = await open_page(browser);
  const begin = Date.now();
  await page.goto(made.url);
  checks.equal("events", await page.evaluate(() => window.nmisafe.trace.events), made.expected.events);
  const draw = await page.evaluate(() => {
    const { timeline } = window.nmisafe, times = [];
    for (let i = 0; i < 9; ++i) { const from = performance.now(); timeline.zoom(0.5); timeline.draw_now(); times.push(performance.now() - from); }
    return times.sort((a, b) => a - b)[4];
  });
  // NMIs are a twelfth of the time: they must not vanish far away.
  await page.evaluate(() => { window.nmisafe.timeline.show(0, window.nmisafe.trace.length); });
  const far = await colour_at(page, 0, 4, made.expected.events / 22 * TURN / 2);
  checks.that(`NMIs are seen from far (${far})`, parseInt(far.slice(1, 3), 16) > 1.5 * parseInt(far.slice(3, 5), 16) || far === CONTEXT_COLOURS.NMI);
  checks.that(`it is drawn in less than a second (${draw.toFixed(0)} ms)`, draw < 1000);
  console.log(`${made.expected.events} events: ${Date.now() - begin} ms to open and check, ${draw.toFixed(1)} ms to draw`);
  await page.screenshot({ path: `${out}/large.png` });
  checks.equal("errors", page.problems, []);
  await page.close();
  return checks;
}

mkdirSync(out, { recursive: true });
const browser = await start_browser(packages);
try {
  const all = [await check(browser, make("page", 22000), "page"), await check_large(browser)];
  const failures = all.flatMap((checks) => checks.failures);
  for (const [damage, seen] of [["flat", "row 4"], ["lose", "events"]]) {
    const damaged = await check(browser, make("damaged", 22000, damage), "damaged");
    if (!damaged.failures.some((failure) => failure.includes(seen))) failures.push(`damage ${damage} was not noticed`);
  }
  finish(failures, all.reduce((sum, checks) => sum + checks.count, 0));
} finally {
  await browser.close();
}
