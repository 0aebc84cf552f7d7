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

PAGE_SIZE = 4096
# kernel/boot/layout.h: where vmalloc() makes its mappings, and where the code of modules is.
VMALLOC_RANGES = {
    "x86_64": range(0xffff900000000000, 0xffff910000000000),
    "x86_32": range(0xf2000000, 0xf8000000),
    "x86_32_pae": range(0xf2000000, 0xf8000000),
}
MODULE_CODE_RANGES = {
    "x86_64": range(0xffffffffc0000000, 0xffffffffc4000000),
    "x86_32": range(0xf8000000, 0xf9000000),
    "x86_32_pae": range(0xf8000000, 0xf9000000),
}


def check_bad_access(words, arch):
    """The guard page behind a mapping of one page, touched by a function of a module, which was called
    by a marker's probe of it, and that by the kernel."""
    failures = []
    address = int(words["cr2"], 16)
    if address % PAGE_SIZE != 0 or address not in VMALLOC_RANGES[arch]:
        failures.append(f"cr2={words['cr2']} is not the page behind a mapping")
    if words["value"] != words["cr2"]:
        failures.append(f"value={words['value']} is not cr2={words['cr2']}")
    code = MODULE_CODE_RANGES[arch]
    callers = [int(word, 16) in code for word in words.get("stack", "0x0").split(",")]
    if int(words["ip"], 16) not in code or True not in callers or False not in callers:
        failures.append(f"ip={words['ip']} stack={words.get('stack')} does not have the way there")
    return failures


def check_probed_access(words, elf):
    """The instruction that faults is named by its own address, not by that of its copy."""
    symbols = subprocess.run(["nm", elf], capture_output=True, text=True, check=True).stdout
    addresses = {line.split()[2]: int(line.split()[0], 16) for line in symbols.splitlines()
                 if len(line.split()) == 3}
    failures = []
    for name, symbol in (("ip", "kernel_try_read_access"), ("slot", "probe_slots")):
        if int(words.get(name, "0"), 16) != addresses[symbol]:
            failures.append(f"{name}={words.get(name)} is not {symbol}, {addresses[symbol]:#x}")
    return failures


# The CPUs that a panic could not stop: all others are to have stopped.
STUCK = {"crash-stuck-in-nmi": "1", "crash-panic-in-nmi": None, "crash-two-panics": None}


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
        words = dict(word.split("=", 1) for word in panics[0].split() if "=" in word)
        # What is refused before anything runs has no registers to show.
        wanted = {"what", "cpu"}
        if options.experiment != "crash-old-cpu":
            wanted |= {"ip"}
        if options.experiment not in ("crash-small-stack", "crash-unknown-option", "crash-old-cpu",
                                      "crash-nmi-like-left"):
            wanted |= {"vector", "flags", "sp", "ax", "bp", "cr2"}
        if wanted - words.keys():
            failures.append(f"missing in the panic line: {sorted(wanted - words.keys())}")
        elif options.experiment in STUCK and words.get("not_stopped") != STUCK[options.experiment]:
            failures.append(f"not_stopped={words.get('not_stopped')}")
        elif options.experiment == "crash-bad-access":
            failures += check_bad_access(words, options.arch)
        elif options.experiment == "crash-probed-access":
            failures += check_probed_access(
                words, pathlib.Path(options.images, f"nmisafe-{options.arch}.elf"))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
