#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the experiment costs and holds the counts against the project's goals (x86-64; the 32-bit entry is
shorter, and held to the same). An instruction more is noticed here before a user does.

    check_costs.py TOOL IMAGES OUT ARCH
"""

import json
import pathlib
import subprocess
import sys

# To the library's C++ function and back from it, as Linux's 78 and 25 are counted.
GOALS = {"nmi-entry": 40, "nmi-exit": 20}
COUNTED = {"nmi-entry", "nmi-exit", "nmi-entry-to-handler", "nmi-exit-from-handler",
           "breakpoint-roundtrip", "breakpoint-return"}
POLICIES = {"near", "far", "far-nmi-count", "iret"}


def main():
    tool, images, out, arch = sys.argv[1:]
    subprocess.run([tool, "run", "--images", images, "--out", out, "--arch", arch,
                    "--experiment", "costs"], check=True, timeout=600)
    costs = json.loads(pathlib.Path(out, "report.json").read_text())["costs"]
    failures = []
    found = {(cost["policy"], cost["name"]): cost["instructions"] for cost in costs}
    if set(found) != {(policy, name) for policy in POLICIES for name in COUNTED}:
        failures.append(f"counted: {sorted(found)}")
    for (policy, name), instructions in found.items():
        if not 1 < instructions <= GOALS.get(name, 400):
            failures.append(f"{policy}: {name} takes {instructions} instructions")
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
