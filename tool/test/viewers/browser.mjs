// SPDX-License-Identifier: MIT
// Chromium without a window, driven by playwright-core.
import { createRequire } from "node:module";
import { resolve } from "node:path";

// `packages`: where set_up.sh has put them.
export async function start_browser(packages) {
  const { chromium } = createRequire(resolve(packages, "package.json"))("playwright-core");
  // Tests run as root, whom Chromium's sandbox refuses.
  return chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
}

// A page that remembers what went wrong, and what it asked for.
export async function open_page(browser, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 760 }, ...options });
  page.problems = [];
  page.requests = [];
  page.on("console", (message) => { if (message.type() === "error") page.problems.push("console: " + message.text()); });
  page.on("pageerror", (error) => page.problems.push("page: " + error.message));
  page.on("request", (request) => page.requests.push(request.url()));
  return page;
}

export class Checks {
  constructor(name) { this.name = name; this.failures = []; this.count = 0; }
  equal(what, found, expected) {
    ++this.count;
    if (JSON.stringify(found) !== JSON.stringify(expected))
      this.failures.push(`${this.name}: ${what}: ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
  }
  that(what, holds) {
    ++this.count;
    if (!holds) this.failures.push(`${this.name}: ${what} does not hold`);
  }
}

// Prints and sets the exit status. Checks that ran nothing have failed.
export function finish(failures, count) {
  for (const failure of failures) console.error(failure);
  console.log(`${count} checks, ${failures.length} failed`);
  process.exitCode = failures.length || !count ? 1 : 0;
}
