#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Has babeltrace2 read what write_trace wrote: every event once, with its values, and every loss counted.

    check_ctf.py --babeltrace PROGRAM --out FOLDER -- WRITE_TRACE...

Damaged traces, the controls, must be refused or read as something else.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import babeltrace  # noqa: E402

VALUES = {"serial": r"value = 0x123456789ABCDEF0", "mixed": r'small = -5, event = -300, string = "hello"'}
EVENT = re.compile(r"^\[.*?\] \(.*?\) (\w+): \{ .*?cpu_id = ([01]) \}, \{ serial = (\d+), (.*) \}$")


def problems_of(arguments, damage):
    folder = arguments.out / (damage or "good")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    written = subprocess.run([*arguments.program, folder, *filter(None, [damage])], check=True,
                             capture_output=True, text=True).stdout.splitlines()
    events = {int(number): name for number, name in (line.split() for line in written[:-1])}
    lost = int(written[-1].split()[1])
    if len(events) != len(written) - 1 or len(events) < 10000 or lost < 1000:
        return [f"write_trace wrote {len(events)} events and lost {lost}"]
    lines, discarded, problems = babeltrace.read(arguments.babeltrace, folder, "--clock-seconds")
    found = {}
    for line in lines:
        match = EVENT.match(line)
        if not match:
            problems.append(f"not an event of ours: {line}")
            continue
        name, _, number, values = match.groups()
        if int(number) in found or not re.fullmatch(VALUES[name], values):
            problems.append(f"twice, or other values: {line}")
        found[int(number)] = name
    if found != events:
        problems.append(f"{len(found)} events read of {len(events)}, or other ones")
    if discarded != lost:
        problems.append(f"{discarded} events discarded of {lost}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--babeltrace", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("program", nargs="+")
    arguments = parser.parse_args()
    problems = problems_of(arguments, "")
    for problem in problems[:10]:
        print(problem)
    failed = bool(problems)
    for damage in ["end", "event"]:
        noticed = problems_of(arguments, damage)
        print(f"damaged, {damage}: {noticed[0] if noticed else 'not noticed'}")
        failed |= not noticed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
