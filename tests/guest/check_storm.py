#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs patch-storm for long, under NMIs on four CPUs, and its control.

    check_storm.py TOOL IMAGES OUT ARCH POLICY TOGGLES
"""

import json
import pathlib
import subprocess
import sys

LIMIT = 3600  # seconds a guest; a CPU that waits for another for good is a failure


def main():
    tool, images, out, arch, policy, toggles = sys.argv[1:]
    subprocess.run([tool, "run", "--images", images, "--out", out, "--arch", arch, "--jobs", "1",
                    "--experiment", "patch-storm", "--policy", policy, "--timeout", str(LIMIT),
                    "--kernel-option", f"toggles={toggles}"], check=True, timeout=LIMIT + 100)
    rows = json.loads(pathlib.Path(out, "report.json").read_text())["rows"]
    failures = []
    for row in rows:
        wrong = row["extras"]["wrong_values"]
        if row["expected"] == "control":
            if wrong == 0:
                failures.append(f"the control saw no wrong value: {row}")
        elif row["boundaries"] != int(toggles) or wrong != 0 or row["lost"] != 0 or \
                row["nmis_handled"] < int(toggles):
            failures.append(f"not what it was to be: {row}")
    if sorted(row["expected"] for row in rows) != ["control", "safe"]:
        failures.append(f"{len(rows)} rows")
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
