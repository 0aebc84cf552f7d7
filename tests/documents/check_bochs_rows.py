#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that each experiment, of each width, runs under Bochs or has its reason in docs/windows.md why not.

A row is a test guest.bochs.EXPERIMENT.POLICY.WIDTH of ./test or a row of the target bochs_sweeps; a control alone is
none, nor is one with shadow stacks alone. A reason stands in a table whose rows begin with the experiment's name: for both widths, or for the one it names.

    check_bochs_rows.py ROOT BUILD TOOL
    check_bochs_rows.py --self-test ROOT BUILD TOOL
"""

import json
import pathlib
import re
import subprocess
import sys

WIDTHS = ("x86_64", "x86_32")
EXPERIMENT = re.compile(r'^    \{"([a-z0-9-]+)", \w+\},$', re.M)
REASON = re.compile(r"^\| `([a-z0-9-]+)` \|([^|]*)\|([^|]*)\|$", re.M)
PAE = "x86_32_pae"


def read_experiments(table, listed):
    """{experiment: its widths} by the kernel's table of names; the catalogue says which widths have it."""
    widths, name = {}, None
    for line in listed.splitlines():
        if line and not line.startswith(" "):
            name = line
        elif re.match(r"    (safe|control) ", line):
            widths.setdefault(name, set()).update(re.findall(r"\bx86_\w+", line))
    found = {}
    for experiment in EXPERIMENT.findall(table):
        among = widths.get(experiment, set(WIDTHS))
        # With PAE it is an experiment of its own where nothing else has it.
        found[experiment] = among & set(WIDTHS) or among
    return found


def read_rows(names):
    """The pairs of experiment and width that run there."""
    rows = set()
    for name in names:
        match = re.fullmatch(r"([a-z0-9-]+)\.[a-z-]+\.(x86_\w+)(\..*)?", name)
        if match and ".without-" not in name and ".cet" not in name:
            rows.add((match[1], match[2]))
    return rows


def check(text, experiments, rows):
    failures, reasons = [], {}
    for name, width, why in REASON.findall(text):
        if name not in experiments:
            failures.append(f"{name}: no such experiment")
            continue
        if len(why.split()) < 4:
            failures.append(f"{name}: no reason")
        said = re.findall(r"x86_\w+", width) or sorted(experiments[name])
        for one in said:
            if (name, one) in reasons:
                failures.append(f"{name}: two reasons for {one}")
            reasons[name, one] = why
    for name, widths in experiments.items():
        for width in sorted(widths):
            if (name, width) in rows and (name, width) in reasons:
                failures.append(f"{name}: runs under Bochs on {width}, and there is a reason why not")
            if (name, width) not in rows and (name, width) not in reasons:
                failures.append(f"{name}: on {width} neither a row under Bochs nor a reason")
    return failures


def self_test(text, experiments, rows):
    """What check() must find, made from what there is."""
    name, width = next((name, width) for name, width in sorted(rows) if name in experiments)
    line = next(line for line in text.splitlines() if REASON.match(line))
    reasoned = REASON.match(line)[1]
    planted = {
        "a new experiment": (text, {**experiments, "new-one": set(WIDTHS)}, rows),
        "a new experiment of one width": (text, {**experiments, "new-one": {"x86_32"}}, rows),
        "a row that goes": (text, experiments, {row for row in rows if row != (name, width)}),
        "a reason that goes": (text.replace(line + "\n", ""), experiments, rows),
        "an empty reason": (text.replace(line, f"| `{reasoned}` | | |"), experiments, rows),
        "a reason for one width alone": (text.replace(line, f"| `{reasoned}` | x86_64 | for one alone of them |"),
                                         experiments, rows),
        "a reason for what runs": (text, experiments, rows | {(reasoned, width) for width in WIDTHS}),
        "a reason for nothing": (text.replace(f"| `{reasoned}`", f"| `{reasoned}-no`"), experiments, rows),
    }
    return [f"not noticed: {what}" for what, spoilt in planted.items() if not check(*spoilt)]


def main():
    arguments = sys.argv[1:]
    testing = arguments[0] == "--self-test"
    root, build, tool = arguments[testing:]
    root = pathlib.Path(root)
    text = (root / "docs/windows.md").read_text()
    shown = subprocess.check_output(["ctest", "--show-only=json-v1", "--test-dir", build], text=True)
    names = [test["name"].removeprefix("guest.bochs.") for test in json.loads(shown)["tests"]
             if test["name"].startswith("guest.bochs.")]
    sweeps = pathlib.Path(build, "tests/guest/bochs_sweeps.txt")
    if not sweeps.exists():
        print(f"{sweeps} is missing: configure the build again, with the kernel's tests")
        return 1
    names += sweeps.read_text().split()
    experiments = read_experiments((root / "kernel/experiments/experiments.cpp").read_text(),
                                   subprocess.check_output([tool, "run", "--list"], text=True))
    rows = read_rows(names)
    failures = self_test(text, experiments, rows) if testing else check(text, experiments, rows)
    well = "all planted mistakes noticed" if testing else \
        f"{len(experiments)} experiments, under Bochs {len(rows)} of one width"
    print("\n".join(failures) or well)
    return 1 if failures else 0


sys.exit(main())
