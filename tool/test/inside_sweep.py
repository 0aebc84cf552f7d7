# SPDX-License-Identifier: MIT
"""The reference kernel's own sweeps (every-instruction), for check_torture.py to compare with."""
import re
import subprocess


def rows_of(machine):
    """Where NMIs landed, and the row that the kernel prints, for each path."""
    done = subprocess.run(
        ["qemu-system-x86_64", *machine, "-accel", "tcg", "-icount", "shift=6,sleep=off", "-nodefaults", "-display",
         "none", "-no-reboot", "-debugcon", "stdio", "-append", "experiment=every-instruction policy=near"],
        text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=280, check=False)
    landed = {}
    for path, addresses in re.findall(r"^@rips path=(\S+) list=(\S+)", done.stdout, re.M):
        landed.setdefault(path, set()).update(int(one, 16) for one in addresses.split(","))
    rows = {path: dict(word.split("=") for word in row.split())
            for path, row in re.findall(r"^@row path=(\S+) (.*)$", done.stdout, re.M)}
    if len(rows) < 5:
        raise RuntimeError(done.stdout[-2000:] + done.stderr)
    return landed, rows


def functions_of(elf, addresses):
    """Names of the functions that they are in."""
    lines = subprocess.check_output(["nm", "-nC", elf], text=True).splitlines()
    symbols = [(int(words[0], 16), words[2]) for words in (line.split(None, 2) for line in lines)
               if len(words) == 3 and words[1] in "tT"]
    return {[name for at, name in symbols if at <= one][-1] for one in addresses}
