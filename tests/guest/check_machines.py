#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The kernel on machines other than the one that the tool gives it.

Each line below is a machine. The experiment must run to its end on it without a failure, or the machine
must stop with exactly one @panic line that says what it lacks. Never a reset, and never silence.
"""

import argparse
import re
import subprocess
import sys

SUCCESS, PANIC = 33, 35  # 2 * what the kernel writes to the debug-exit port, and 1
DEFAULT = {"machine": "q35", "cpu": "max", "memory": "64", "cpus": "2", "icount": None}
# With time in instructions the PIT, were it left on the HPET's pin, raises its edge in one of the sweeps.
SWEEP = {"cpus": "1", "icount": "shift=6,sleep=off"}
MOST_CPUS = 8  # that the kernel uses
LACKS = "this CPU lacks "
OUT_OF_REACH = {"x86_32": "ACPI table out of reach", "x86_32_pae": "ACPI table out of reach"}


def everywhere(what):
    return dict.fromkeys(("x86_64", "x86_32", "x86_32_pae"), what)


# What differs from the default, the experiment, and what the panic says by width (none: there is none).
MACHINES = [
    ({"machine": "pc"}, "hello", {}),
    (SWEEP | {"machine": "pc"}, "nmi-state", {}),
    (SWEEP | {"machine": "pc"}, "every-instruction", {}),
    ({"machine": "q35,hpet=off"}, "hello", everywhere("no HPET")),
    ({"machine": "pc,hpet=off"}, "hello", everywhere("no HPET")),
    ({"cpus": "1"}, "hello", {}),
    ({"cpus": "9"}, "hello", {}),  # one more than are used
    ({"memory": "16"}, "hello", {}),
    ({"memory": "768"}, "hello", {}),  # all that x86-32 maps
    ({"memory": "4096"}, "hello", OUT_OF_REACH),
    ({"cpu": "max,-apic"}, "hello", everywhere(LACKS + "a local APIC")),
    ({"cpu": "qemu32"}, "hello", {"x86_64": LACKS + "long mode"}),
    ({"cpu": "pentium3,-pae"}, "hello", {"x86_64": LACKS + "long mode, PAE", "x86_32_pae": LACKS + "PAE"}),
    ({"cpu": "pentium"}, "hello", {"x86_64": LACKS + "long mode, PAE, CMOV", "x86_32": LACKS + "CMOV",
                                   "x86_32_pae": LACKS + "PAE, CMOV"}),
    ({"cpu": "486"}, "hello", {"x86_64": LACKS + "long mode, PAE, MSRs, a local APIC, CMOV",
                               "x86_32": LACKS + "a local APIC, CMOV",
                               "x86_32_pae": LACKS + "PAE, a local APIC, CMOV"}),
]


def run(options, machine, experiment):
    emulator = "qemu-system-x86_64" if options.arch == "x86_64" else "qemu-system-i386"
    image = f"nmisafe-{options.arch}.image" # without its folder: it is part of the command line
    counted = ["-icount", machine["icount"]] if machine["icount"] else []
    return subprocess.run(
        [emulator, *counted, "-machine", machine["machine"], "-accel", "tcg", "-cpu", machine["cpu"],
         "-m", machine["memory"], "-smp", machine["cpus"], "-kernel", image,
         "-append", f"experiment={experiment} policy=near", "-nodefaults", "-display", "none", "-no-reboot",
         "-debugcon", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"],
        cwd=options.images, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200)


def problems_of(done, expected, cpus):
    """What is wrong with how the guest ended."""
    lines = done.stdout.splitlines()
    panics = [line for line in lines if line.startswith("@panic")]
    if expected:
        if len(panics) != 1 or not panics[0].startswith(f'@panic what="{expected}" cpu=0'):
            yield f"panics {panics} instead of '{expected}'"
    elif panics:
        yield f"panics {panics}"
    else:
        if lines[-1:] != ["@done"]:
            yield f"ends with {lines[-1:]}"
        failed = [line for line in lines if line.startswith("@fail")]
        rows = [line for line in lines if line.startswith("@row")]
        if failed or not rows:
            yield f"failures {failed}, {len(rows)} rows"
        left_out = [line for line in lines if line.startswith("CPUs left out: ")]
        if left_out != [f"CPUs left out: {cpus - MOST_CPUS}"] * (cpus > MOST_CPUS):
            yield f"of {cpus} CPUs says {left_out}"
        for row in rows:
            counts = dict(re.findall(r"(\w+)=(\d+)", row))
            if any(counts[name] != "0" for name in ("failures", "nested", "lost", "corrupted")):
                yield f"harm in '{row}'"
            # An edge that the HPET did not make is an NMI that nobody raised.
            if int(counts["nmis_handled"]) > int(counts["nmis_raised"]):
                yield f"more NMIs than were raised in '{row}'"
    wanted = PANIC if expected else SUCCESS
    if done.returncode != wanted:
        yield f"exit status {done.returncode} instead of {wanted}: {done.stderr}"


def main():
    parser = argparse.ArgumentParser()
    for option in ("images", "arch"):
        parser.add_argument("--" + option, required=True)
    options = parser.parse_args()
    failures = 0
    for changes, experiment, panics in MACHINES:
        expected = panics.get(options.arch)
        machine = DEFAULT | changes
        for problem in problems_of(run(options, machine, experiment), expected, int(machine["cpus"])):
            failures += 1
            print(f"{options.arch} {changes} {experiment}: {problem}", file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
