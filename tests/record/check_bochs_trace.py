#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A trace made under Bochs: its debugger stops the guest where it ends, and writes the RAM, out of which the trace is
extracted. babeltrace2 reads of it what the kernel has counted, to the event.

    check_bochs_trace.py TOOL LOADER ELF DIRECT_MAP OUT

DIRECT_MAP is where the kernel sees physical memory from 0 on.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "guest")]
import check_bochs  # noqa: E402
import check_experiments  # noqa: E402

RAM = 64 << 20


def address_of(elf, function):
    symbols = subprocess.run(["nm", "-C", elf], capture_output=True, text=True, check=True).stdout
    return re.search(rf"^([0-9a-f]+) T {re.escape(function)}$", symbols, re.M).group(1)


def main(tool, loader, elf, direct_map, out):
    folder = pathlib.Path(out).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    check_bochs.prepare(folder, pathlib.Path(elf).with_suffix(".image"), loader,
                        "experiment=trace-example policy=near trace=on duration=200",
                        model="corei7_sandy_bridge_2600k", cpus=1, ips=check_bochs.INSTRUCTIONS_A_SECOND)
    (folder / "commands").write_text(f'lb 0x{address_of(elf, "kernel::finish(bool)")}\nc\n'
                                     f'writemem "ram" {direct_map} {RAM:#x}\nq\n')
    run = subprocess.run(["bochs", "-q", "-f", "bochsrc", "-rc", "commands"], cwd=folder, stdin=subprocess.DEVNULL,
                         capture_output=True, timeout=400, check=False,
                         env={**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"})
    console = run.stdout.decode(errors="replace")
    (folder / "console.log").write_text(console)
    ram = folder / "ram"
    if not ram.exists() or ram.stat().st_size != RAM:
        print(f"Bochs has written no RAM:\n{console[-2000:]}")
        return 1
    problems, numbers = check_experiments.check(tool, ram, "trace-example", False, console, folder / "trace")
    ram.unlink()
    if not re.search(r"^@row .* failures=0 ", console, re.M):
        problems.append(f"the experiment has failed:\n{console}")
    print("\n".join(problems) or "generated {}, read {}, discarded {}".format(*numbers))
    return 1 if problems or numbers[1] < 1000 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
