// SPDX-License-Identifier: MIT
// README's pictures, of the page of a real recording:
//
//     node draw_pictures.mjs PAGE PACKAGES OUT
//
// The timeline is shown around a page fault in an NMI that has interrupted the kernel, if there is one.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { open_page, start_browser } from "./browser.mjs";

const [file, packages, out] = process.argv.slice(2);
const AROUND = 60000; // ns, to each side
const NMI_IN_KERNEL_ROW = 2;

function spans_of(cpu, names) {
  const { begin, length, row, context, name } = cpu.spans;
  let at = 0;
  return begin.map((step, i) => ({ begin: at += step, length: length[i], row: row[i], context: context[i], name: names[name[i]] }));
}

function find_place() {
  const blocks = [...readFileSync(file, "utf8").matchAll(/<script[^>]*type="application\/json"[^>]*>(.*?)<\/script>/gs)];
  const trace = JSON.parse(blocks.map((one) => one[1]).sort((a, b) => b.length - a.length)[0]);
  const nested = trace.cpus.flatMap((cpu) => spans_of(cpu, trace.names))
    .filter((one) => one.row > NMI_IN_KERNEL_ROW && one.name.startsWith("#PF") && one.length < AROUND / 10);
  return nested.length ? nested[Math.floor(nested.length / 2)].begin : trace.length / 2;
}

const place = find_place();
const browser = await start_browser(packages);
const page = await open_page(browser, { viewport: { width: 1280, height: 520 } });
await page.goto(pathToFileURL(file).href);
await page.waitForFunction(() => window.nmisafe !== undefined);
await page.evaluate(([begin, end]) => window.nmisafe.timeline.show(begin, end), [place - AROUND, place + AROUND]);
await page.waitForTimeout(500);
await page.screenshot({ path: `${out}/timeline.png` });
await page.click("#tab-flame");
await page.waitForTimeout(500);
await page.screenshot({ path: `${out}/flame.png` });
await browser.close();
