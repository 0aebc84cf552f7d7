#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sweeps a part of somebody else's kernel's path (guests.json) with `nmisafe torture`: every boundary must be the same.

    check_guests.py --tool NMISAFE --images FOLDER --out FOLDER NAME
    check_guests.py --tool NMISAFE --images FOLDER --out FOLDER --measure

--measure sweeps Linux amd64's breakpoint path whole, in a loop, and a part of it by forks, and compares speed and memory with what is
promised: 1,000 and 200 boundaries a CPU second, 15 s on an idle machine, 2 GiB.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).parent
CAMPAIGN = HERE / "guests.json"
MEASURED = "linux-amd64.breakpoint"
LOOP_PER_CPU_SECOND, FORKED_PER_CPU_SECOND, SECONDS, BYTES = 1000, 200, 15, 2 << 30
SKIPPED = 77


def table():
    return {sweep["name"]: sweep for sweep in json.loads(CAMPAIGN.read_text())["sweeps"]}


def children(process):
    """The process and all it has started."""
    parents = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(folder.name))
    found, left = [], [process]
    while left:
        found.append(left.pop())
        left += parents.get(found[-1], [])
    return found


def memory_of(process):
    """Bytes that it and its children have, what they share counted once."""
    total = 0
    for one in children(process):
        try:
            text = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024
    return total


def sweep(arguments, one, more, out, watch=False):
    """The command's status, what it said, its report's sweeps, and the most memory that was seen."""
    command = [arguments.tool, "torture", *one["arguments"], *more, "--out", out, arguments.images / one["kernel"]]
    with subprocess.Popen([*map(str, command)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        most = [0]

        def look():
            while process.poll() is None:
                most[0] = max(most[0], memory_of(process.pid))
                time.sleep(0.3)
        if watch:
            threading.Thread(target=look, daemon=True).start()
        said = process.communicate()[0]
    report = out / "report.json"
    return process.returncode, said, json.loads(report.read_text())["sweeps"] if report.exists() else [], most[0]


def check(arguments):
    shutil.rmtree(arguments.out / arguments.name, ignore_errors=True)  # a campaign keeps what is done
    done = subprocess.run([arguments.tool, "torture", "--campaign", CAMPAIGN, "--kernels", arguments.images, "--brief",
                           "--sweep", arguments.name, "--out", arguments.out], check=False)
    report = json.loads((arguments.out / arguments.name / "report.json").read_text())
    for one in report["sweeps"]:
        others = one["instructions_of_others"]
        if (others > one["boundaries"]) != ("--cpus" in table()[arguments.name]["arguments"]):
            print(f"{one['path']}: other CPUs have executed {others} instructions while it was swept")
            return 1
    return done.returncode


def measure(arguments):
    one = table()[MEASURED]
    lines = []
    _, said, loop, most = sweep(arguments, one, [], arguments.out / "loop", watch=True)
    _, said_forked, forked, most_forked = sweep(arguments, one, ["--exact", "--boundaries", "0..999"],
                                                arguments.out / "forked", watch=True)
    if not loop or not forked:
        print(said, said_forked)
        return False
    load = os.getloadavg()[0]
    for name, value, unit, limit, at_least in (
            ("in a loop", loop[0]["per_cpu_second"], "boundaries a CPU second", LOOP_PER_CPU_SECOND, True),
            ("forked", forked[0]["per_cpu_second"], "boundaries a CPU second", FORKED_PER_CPU_SECOND, True),
            ("the whole path", loop[0]["seconds"], f"s at load {load:.1f}", SECONDS, False),
            ("memory", max(most, most_forked) / (1 << 20), "MiB", BYTES >> 20, False)):
        good = value >= limit if at_least else value <= limit
        lines.append(good)
        print(f"{name:16} {value:8.1f} {unit}, {'at least' if at_least else 'at most'} {limit}: "
              f"{'yes' if good else 'NO'}")
    return all(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("name", nargs="?", default=MEASURED)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    image = table()[arguments.name]["kernel"]
    if not (arguments.images / image).exists():
        print(f"skipped: not fetched (debian_guests.py): {image}")
        return SKIPPED
    if arguments.measure:
        return 0 if measure(arguments) else 1
    return check(arguments)


sys.exit(main())
