// SPDX-License-Identifier: MIT
// What `nmisafe convert` writes, in speedscope and in a browser, of the scene that make_trace makes: two CPUs, on each
// twice a task, a system call, an interrupt, a page fault in it, an NMI on top, and a sample in that.
//
//     node check_speedscope.mjs NMISAFE MAKE_TRACE PACKAGES OUT
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Checks, finish, open_page, start_browser } from "./browser.mjs";

const [nmisafe, make_trace, packages, out] = process.argv.slice(2);
const CHAIN = ["0x3000", "0x2000", "0x1000"]; // addresses, innermost first
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm" };

function convert(form, name) {
  execFileSync(nmisafe, ["convert", `${out}/trace`, "--to", form, "-o", `${out}/${name}`], { stdio: ["ignore", "pipe", "pipe"] });
}

// speedscope's files, and below /trace/ what was converted.
function serve() {
  const release = join(resolve(packages), "node_modules/speedscope/dist/release");
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    try {
      const file = path.startsWith("/trace/") ? join(resolve(out), path.slice(7)) : join(release, path);
      const body = readFileSync(file);
      response.writeHead(200, { "Content-Type": TYPES[extname(file)] ?? "text/plain" }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

// What speedscope shows of a file: its profiles with their weights, and of the first the functions: [total, self, name].
async function shown(browser, port, name) {
  const page = await open_page(browser), at = `http://127.0.0.1:${port}`;
  await page.goto(`${at}/index.html#profileURL=${encodeURIComponent(`${at}/trace/${name}`)}`);
  await page.getByText("Sandwich").waitFor();
  await page.screenshot({ path: `${out}/speedscope-${name}.png` });
  const table = async (columns) => {
    await page.locator(`th:has-text("${columns}")`).first().waitFor();
    const rows = await page.evaluate(() => [...document.querySelectorAll("tr")].map((row) => [...row.children].map((cell) => cell.innerText.trim())));
    return rows.filter((row) => row.length === 3 && !["#", "Total"].includes(row[0]));
  };
  let profiles = [];
  if (/\(1\/\d+\)/.test(await page.innerText("body"))) {
    await page.keyboard.press("t");
    profiles = (await table("Total Weight")).map(([, title, weight]) => [title.replace(/ \(tid \d+\)| \(pid \d+\)/g, ""), weight]);
    await page.keyboard.press("Escape");
  }
  await page.getByText("Sandwich").click();
  const functions = (await table("Symbol Name")).slice(profiles.length);
  const percents = / \(.*\)/;
  const result = { profiles, functions: functions.map(([total, self, symbol]) => [total.replace(percents, ""), self.replace(percents, ""), symbol]) };
  result.problems = page.problems;
  await page.close();
  return result;
}

// `count` samples, all with the same chain.
const functions_of = (count) => CHAIN.map((name, i) => [String(count), i === 0 ? String(count) : "0", name]);

async function check_chrome(browser, port, checks, name = "chrome.json") {
  const found = await shown(browser, port, name);
  const tracks = (cpu, tasks) => [["tasks", tasks], ["system calls", "9.00µs"], ["interrupt", "7.00µs"], ["trap", "5.00µs"], ["NMI", "2.00µs"]]
    .map(([track, weight]) => [`CPU ${cpu}, ${track}`, weight]);
  // Two system calls of 4.5 µs each, two interrupts of 3.5 µs ...
  checks.equal("tracks", found.profiles, [...tracks(0, "11.55µs"), ...tracks(1, "11.50µs")]);
  checks.equal("tasks", found.functions[0], ["11.00µs", "11.00µs", 'worker;"1"']);
  checks.equal("errors", found.problems, []);
}

async function check_folded(browser, port, checks, name = "samples.folded") {
  const found = await shown(browser, port, name);
  checks.equal("functions", found.functions.sort((a, b) => b[2].localeCompare(a[2])), functions_of(4));
  checks.equal("errors", found.problems, []);
}

async function check_profile(browser, port, checks, name = "profile.speedscope.json") {
  const found = await shown(browser, port, name);
  checks.equal("profiles", found.profiles, [["CPU 0", "2"], ["CPU 1", "2"]]);
  checks.equal("functions", found.functions.sort((a, b) => b[2].localeCompare(a[2])), functions_of(2));
  checks.equal("errors", found.problems, []);
}

// Our own page, of the same trace.
async function check_page(browser, checks) {
  const page = await open_page(browser);
  await page.goto(pathToFileURL(resolve(out, "timeline.html")).href);
  const summary = await page.evaluate(() => window.nmisafe.summary());
  checks.equal("CPUs", summary.cpus.map(({ cpu, rows, events, lost }) => [cpu, rows, events, lost]), [[0, 5, 24, 0], [1, 5, 24, 5]]);
  checks.equal("samples", [summary.samples, summary.functions.find((one) => one.name === CHAIN[0])?.self], [4, 4]);
  // As in the Chrome JSON; the 2 µs of NMIs are two of 1 µs.
  const lengths = await page.evaluate(() => Object.fromEntries(window.nmisafe.trace.cpus[0].series.filter((one) => one.context)
    .map((one) => [window.nmisafe.trace.names[one.name[0]], [one.row, ...one.begin.map((begin, i) => one.end[i] - begin)]])));
  checks.equal("spans", lengths, { read: [1, 4500, 4500], timer: [2, 3500, 3500], "#PF": [3, 2500, 2500], NMI: [4, 1000, 1000] });
  await page.screenshot({ path: `${out}/timeline.png` });
  checks.equal("errors", page.problems, []);
  await page.close();
}

mkdirSync(out, { recursive: true });
rmSync(`${out}/trace`, { recursive: true, force: true });
// No file has the functions' names: they are shown as addresses.
execFileSync(make_trace, ["scene", `${out}/trace`, "/dev/null", ...CHAIN]);
for (const [form, name] of [["chrome", "chrome.json"], ["folded", "samples.folded"], ["speedscope", "profile.speedscope.json"], ["html", "timeline.html"]]) convert(form, name);
const server = await serve(), browser = await start_browser(packages);
try {
  const failures = [], port = server.address().port;
  let count = 0;
  for (const [check, name, damage] of [[check_chrome, "chrome.json", [/"name":"NMI"}/g, '"name":"nmi"}']],
                                       [check_folded, "samples.folded", [" 4\n", " 3\n"]],
                                       [check_profile, "profile.speedscope.json", ['"weights":[1,1]', '"weights":[1,2]']]]) {
    const checks = new Checks(name), damaged = new Checks("damaged");
    await check(browser, port, checks);
    failures.push(...checks.failures);
    count += checks.count;
    // Something that should be noticed, and so would be if convert did it.
    const text = readFileSync(`${out}/${name}`, "utf8");
    writeFileSync(`${out}/damaged-${name}`, text.replace(...damage));
    await check(browser, port, damaged, `damaged-${name}`);
    if (!damaged.failures.length) failures.push(`${name}: a damage was not noticed`);
  }
  const checks = new Checks("timeline.html");
  await check_page(browser, checks);
  finish([...failures, ...checks.failures], count + checks.count);
} finally {
  await browser.close();
  server.close();
}
