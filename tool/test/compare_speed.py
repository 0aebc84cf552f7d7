#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How fast `nmisafe convert --to text` is beside babeltrace2, in turns, medians of --runs: prints the ratio.

    compare_speed.py NMISAFE MAKE_TRACE [--events N] [--runs N] [--least RATIO]

Ends with 1 if the ratio is less than --least.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time


def seconds_of(command):
    begin = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool")
    parser.add_argument("make")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--least", type=float, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nmisafe-speed-") as scratch:
        trace = pathlib.Path(scratch) / "trace"
        subprocess.run([arguments.make, "many", trace, str(arguments.events)], check=True)
        ours, others = [], []
        for _ in range(arguments.runs):
            ours.append(seconds_of([arguments.tool, "convert", trace, "--to", "text"]))
            others.append(seconds_of(["babeltrace2", trace]))
    rate, other = (arguments.events / statistics.median(one) / 1e6 for one in (ours, others))
    print(f"text of {arguments.events} events: nmisafe {rate:.2f} M/s, babeltrace2 {other:.2f} M/s, "
          f"ratio {rate / other:.1f} (at least {arguments.least})")
    return 0 if rate >= arguments.least * other else 1


if __name__ == "__main__":
    sys.exit(main())
