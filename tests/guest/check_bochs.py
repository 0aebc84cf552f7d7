#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots a CD image under Bochs and checks its rows.

Bochs keeps rules that QEMU's software emulation does not: a fault pushes RF=1, and the STI and MOV SS
shadows hold off NMIs. It has no exit device: the console is read until @done or @panic.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

CONFIGURATION = """
config_interface: textconfig
display_library: sdl2
megs: 64
cpu: model={model}, count={cpus}, ips=50000000, reset_on_triple_fault=0
clock: sync=none
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=image.iso, status=inserted
boot: cdrom
sound: waveoutdrv=dummy
port_e9_hack: enabled=1
log: bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""


def run(iso, model, cpus, log, limit):
    """The console until it says @done or @panic, or the time is over."""
    with tempfile.TemporaryDirectory() as folder:
        # Bochs runs in a folder of its own, and the names in its configuration are short and plain.
        pathlib.Path(folder, "image.iso").symlink_to(pathlib.Path(iso).resolve())
        pathlib.Path(folder, "bochs.log").symlink_to(pathlib.Path(log + ".bochs").resolve())
        configuration = pathlib.Path(folder, "bochsrc")
        configuration.write_text(CONFIGURATION.format(model=model, cpus=cpus))
        # Debian's Bochs has its debugger built in, which waits for a first command.
        command = pathlib.Path(folder, "commands")
        command.write_text("c\n")
        with open(log, "wb") as output:
            process = subprocess.Popen(
                ["bochs", "-q", "-f", configuration.name, "-rc", command.name], cwd=folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"})
            end = time.monotonic() + limit
            try:
                while process.poll() is None and time.monotonic() < end:
                    text = pathlib.Path(log).read_text(errors="replace")
                    if re.search(r"^@(done|panic)", text, re.M):
                        break
                    time.sleep(0.2)
            finally:
                process.kill()
                process.wait()
    return pathlib.Path(log).read_text(errors="replace")


def judge(console, expected, symptom):
    """The reasons why these rows do not show what they should."""
    if expected == "panic":
        panics = re.findall(r"^@panic .*", console, re.M)
        return [] if any(re.search(symptom, line) for line in panics) else [
            f"no @panic with {symptom}"]
    rows = [dict(re.findall(r"(\w+)=(\d+)", line))
            for line in console.splitlines() if line.startswith("@row")]
    failures = []
    if not re.search(r"^@done", console, re.M):
        failures.append("no @done")
    if not rows:
        failures.append("no @row")
    for row in rows:
        if expected == "control":
            if int(row.get(symptom, 0)) == 0:
                failures.append(f"the control did not show its symptom: {row}")
            continue
        if expected == "latched" and int(row.get("unsafe_irets", 0)) == 0:
            failures.append(f"no IRET unblocked NMIs in {row}")
        for harm in ("failures", "nested", "lost", "corrupted", "unsafe_irets"):
            if expected == "latched" and harm == "unsafe_irets":
                continue
            if int(row.get(harm, 1)) != 0:
                failures.append(f"{harm} in {row}")
    return failures


def main():
    parser = argparse.ArgumentParser()
    for option in ("iso", "log"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--expected", choices=("safe", "latched", "control", "panic"), default="safe")
    parser.add_argument("--symptom", default="nested", help="of a panic: an expression for its line")
    parser.add_argument("--model", default="corei7_sandy_bridge_2600k", help="one of Bochs's CPUs")
    parser.add_argument("--limit", type=int, default=180, help="seconds")
    options = parser.parse_args()

    console = run(options.iso, options.model, options.cpus, options.log, options.limit)
    failures = judge(console, options.expected, options.symptom)
    if failures:
        print("\n".join(failures), file=sys.stderr)
        print("\n".join(line for line in console.splitlines() if line.startswith("@")),
              file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
