#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest that crashes on purpose must be a failed row that says what, where and with which registers.

Runs one crash-* experiment through the tool and checks its exit status, the report's reason, and the
one line on the console.
"""

import argparse
import json
import pathlib
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser()
    for option in ("tool", "images", "out", "arch", "experiment", "text"):
        parser.add_argument("--" + option, required=True)
    options = parser.parse_args()

    done = subprocess.run(
        [options.tool, "run", "--images", options.images, "--out", options.out,
         "--arch", options.arch, "--experiment", options.experiment],
        capture_output=True, text=True, timeout=100)
    failures = []
    if done.returncode != 1:
        failures.append(f"exit status {done.returncode} instead of 1: {done.stderr}")
    else:
        rows = json.loads(pathlib.Path(options.out, "report.json").read_text())["rows"]
        if len(rows) != 1 or rows[0]["passed"]:
            failures.append(f"not one failed row: {rows}")
        elif not rows[0]["reason"].startswith(f"panic: {options.text} cpu="):
            failures.append(f"reason is {rows[0]['reason']!r}")
    console = pathlib.Path(options.out, f"{options.arch}-{options.experiment}-near.log")
    panics = [line for line in console.read_text().splitlines() if line.startswith("@panic")]
    if len(panics) != 1:
        failures.append(f"{len(panics)} panic lines")
    else:
        keys = {word.split("=")[0] for word in panics[0].split() if "=" in word}
        # A stack that is refused was never trapped on: it has no registers to show.
        wanted = {"what", "cpu", "ip"}
        if options.experiment != "crash-small-stack":
            wanted |= {"vector", "flags", "sp", "ax", "bp", "cr2"}
        if wanted - keys:
            failures.append(f"missing in the panic line: {sorted(wanted - keys)}")
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
