#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sweeps one of this folder's kernels with `nmisafe torture`: each fault must be found at exactly its boundaries, and
named for what it is; without one there must be no finding. faults.toml is the table.

    check_faults.py --tool NMISAFE --kernels FOLDER --out FOLDER NAME
    check_faults.py --self-test
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).parent
SECONDS = 120


def table():
    return {kernel["name"]: kernel for kernel in tomllib.loads((HERE / "faults.toml").read_text())["kernel"]}


def symbols(elf):
    lines = subprocess.check_output(["nm", elf], text=True).splitlines()
    return {words[2]: int(words[0], 16) for words in map(str.split, lines) if len(words) == 3}


def steps_of(finding, addresses, trace):
    """Which steps of the path a finding of the table is about."""
    begin, end = addresses[finding["from"]], addresses[finding["to"]]
    if "nth" in finding:
        entered = [i for i, step in enumerate(trace) if int(step["pc"], 16) == begin]
        if len(entered) < finding["nth"]:
            return set()
        first = entered[finding["nth"] - 1]
        last = next((i for i in range(first, len(trace)) if int(trace[i]["pc"], 16) == end), first)
        return set(range(first, last + 1))
    return {i for i, step in enumerate(trace) if begin <= int(step["pc"], 16) < end}


def differences(wanted, allowed, addresses, sweep):
    """What the report says of a sweep that the table does not, in lines."""
    trace = sweep["trace"]
    if not trace:
        return ["no step was swept"]
    lines = []
    expected = {}
    for finding in wanted:
        steps = steps_of(finding, addresses, trace)
        if not steps or len(steps) != finding.get("count", len(steps)):
            lines.append(f"{finding['from']} to {finding['to']}: {len(steps)} steps, "
                         f"not {finding.get('count', 'some')}")
        expected.update({i: finding for i in steps})
    reasons = {anomaly["step"]: anomaly.get("why", "") for anomaly in sweep["anomalies"]}
    for i, step in enumerate(trace):
        finding = expected.get(i)
        right = (finding["verdict"],) if finding else ("same", *allowed)
        if step["verdict"] not in right:
            lines.append(f"step {i} at {step['pc']}: {step['verdict']}, not {right[0]}")
        elif finding and "why" in finding and not re.search(finding["why"], reasons.get(step["step"], "")):
            lines.append(f"step {i} at {step['pc']}: for '{reasons.get(step['step'])}', not {finding['why']}")
    return lines


def check_sweep(arguments, kernel, number, sweep):
    elf = arguments.kernels / f"{kernel['name']}.elf"
    out = arguments.out / str(number)
    command = [arguments.tool, "torture", "--path", sweep["path"], "--end", sweep.get("end", "user"), "--out", out,
               "--after", "torture: ready", "--timeout", "60", "--limit", "20000",
               *(["--exact"] if sweep.get("exact") else [])]
    if re.search(r"\.\.|nmi", sweep["path"]):
        command[4:6] = []  # their end is told, or their return
    if "at" in sweep:
        command += ["--at", hex(symbols(elf)[sweep["at"]])]
    for verdict in sweep.get("allow", []):
        command += ["--allow", verdict]
    done = subprocess.run([*map(str, command), str(elf)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=SECONDS, check=False)
    wanted = sweep.get("finding", [])
    lines = []
    if done.returncode != (1 if wanted else 0):
        lines.append(f"ended with {done.returncode}")
    report = out / "report.json"
    if report.exists():
        for one in json.loads(report.read_text())["sweeps"]:
            lines += differences(wanted, sweep.get("allow", []), symbols(elf), one)
            print(f"{kernel['name']} {one['path']}: {len(one['trace'])} steps, {one['verdicts']}")
    else:
        lines.append("no report")
    if lines:
        print(f"{' '.join(map(str, command))} {elf}", done.stdout[-3000:], *lines[:40], sep="\n")
    return not lines


def self_test():
    """A wrong report is seen as one: each way to differ."""
    def report(*verdicts):
        return {"trace": [{"step": i, "pc": hex(16 + i), "verdict": verdict} for i, verdict in enumerate(verdicts)],
                "anomalies": [{"step": i, "why": "cr2 0x1, not 0x2"} for i, v in enumerate(verdicts) if v != "same"]}
    places = {"begin": 17, "end": 19}
    finding = {"verdict": "registers", "why": "cr2", "from": "begin", "to": "end", "count": 2}
    right = report("same", "registers", "registers", "same")
    cases = [
        (0, finding, right),
        (1, finding, report("same", "same", "registers", "same")),
        (1, finding, report("registers", "registers", "registers", "same")),
        (1, finding, report("same", "registers", "hang", "same")),
        (2, {**finding, "why": "rax"}, right),
        (1, {**finding, "count": 3}, right),
        (1, finding, report("same", "registers")),
        (1, finding, report()),
        (0, {"verdict": "hang", "from": "begin", "to": "end", "nth": 1}, report("same", "hang", "hang", "hang")),
    ]
    failed = [i for i, (lines, one, told) in enumerate(cases) if len(differences([one], [], places, told)) != lines]
    for i in failed:
        print(i, differences([cases[i][1]], [], places, cases[i][2]))
    names = table()
    if len([name for name in names if not name.startswith("clean")]) < 12 or "clean" not in names:
        failed.append("fewer than twelve faults, or no kernel without")
    print(f"{len(cases)} cases, {len(names)} kernels, failed: {failed}")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--tool", type=pathlib.Path)
    parser.add_argument("--kernels", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("name", nargs="?")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    kernel = table()[arguments.name]
    right = [check_sweep(arguments, kernel, number, sweep) for number, sweep in enumerate(kernel["sweep"])]
    return 0 if right and all(right) else 1


sys.exit(main())
