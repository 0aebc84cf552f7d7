#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs hostile-tasks with so many tasks, and its control; prints what came of them.

    check_hostile.py TOOL IMAGES OUT ARCH TASKS [SEED]
    check_hostile.py --self-test

SEED is the number of the first task, 1 unless given: two runs have tasks in common whose ranges of numbers overlap.
"""

import json
import pathlib
import subprocess
import sys

LIMIT = 7200  # seconds a guest; a CPU that waits for another for good is a failure


def judge(rows, tasks):
    """What is wrong with the rows."""
    failures = []
    for row in rows:
        if row["expected"] == "control":
            if row["failures"] == 0:
                failures.append(f"the control saw no failure: {row}")
        elif not row["passed"] or row["failures"] or row["boundaries"] != tasks or \
                row["nmis_raised"] != row["nmis_handled"] or row["nested"] or row["lost"] or \
                row["corrupted"] or row["nmis_handled"] < tasks // 10:
            failures.append(f"not what it was to be: {row}")
    if sorted(row["expected"] for row in rows) != ["control", "safe"]:
        failures.append(f"{len(rows)} rows")
    return failures


def self_test():
    """Each change of a good report must be noticed."""
    safe = {"expected": "safe", "passed": True, "failures": 0, "boundaries": 100,
            "nmis_raised": 50, "nmis_handled": 50, "nested": 0, "lost": 0, "corrupted": 0}
    control = {**safe, "expected": "control", "failures": 20}
    assert not judge([safe, control], 100)
    changes = [{"passed": False}, {"failures": 1}, {"boundaries": 99}, {"nmis_raised": 51},
               {"nested": 1}, {"lost": 1}, {"corrupted": 1}, {"nmis_raised": 9, "nmis_handled": 9}]
    missed = [change for change in changes if not judge([{**safe, **change}, control], 100)]
    for rows in [[safe], [control], [], [safe, safe], [safe, {**control, "failures": 0}]]:
        if not judge(rows, 100):
            missed.append(rows)
    print("\n".join(f"not noticed: {each}" for each in missed), file=sys.stderr)
    return 1 if missed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    tool, images, out, arch, tasks, *seed = sys.argv[1:]
    options = ["--kernel-option", f"tasks={tasks}"]
    if seed:
        options += ["--kernel-option", f"seed={seed[0]}"]
    report = pathlib.Path(out, "report.json")
    report.unlink(missing_ok=True)
    result = subprocess.run([tool, "run", "--images", images, "--out", out, "--arch", arch,
                             "--jobs", "1", "--experiment", "hostile-tasks", "--timeout",
                             str(LIMIT), *options], check=False, timeout=2 * LIMIT)
    rows = json.loads(report.read_text())["rows"] if report.exists() else []
    for row in rows:
        print(f"hostile-tasks {arch} ({row['expected']}): {row['boundaries']:,} tasks, "
              f"{row['nmis_handled']:,} NMIs, {row['failures']} failures, {row['lost']} NMIs lost, "
              f"{row['nested']} nested", flush=True)
    failures = judge(rows, int(tasks))
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures or result.returncode else 0


sys.exit(main())
