#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots a CD image made with grub-mkrescue under QEMU and checks that its experiment came to a good end."""

import argparse
import pathlib
import subprocess
import sys

PROGRAMS = {"x86_64": "qemu-system-x86_64", "x86_32": "qemu-system-i386"}
SUCCESS = 33


def main():
    parser = argparse.ArgumentParser()
    for option in ("iso", "arch", "log"):
        parser.add_argument("--" + option, required=True)
    options = parser.parse_args()

    done = subprocess.run(
        [PROGRAMS[options.arch], "-machine", "q35", "-m", "64", "-smp", "2", "-cdrom", options.iso,
         "-nodefaults", "-display", "none", "-no-reboot", "-debugcon", "stdio",
         "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=100)
    console = done.stdout.decode(errors="replace")
    pathlib.Path(options.log).write_text(console)
    rows = [line for line in console.splitlines() if line.startswith("@row")]
    good = (done.returncode == SUCCESS and f"@hello arch={options.arch} " in console
            and "@done" in console and len(rows) == 1 and " failures=0" in rows[0]
            and "@fail" not in console)
    if not good:
        print(f"exit status {done.returncode}; console:\n{console}", file=sys.stderr)
    return 0 if good else 1


sys.exit(main())
