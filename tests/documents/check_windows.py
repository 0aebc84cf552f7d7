#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks docs/windows.md and docs/tracer_bugs.md against the tests that they name.

  - each invariant, each window and each further row is there, once, in order, and says something
  - each experiment and path is in the tool's catalogue, each control is one of its controls
  - each test of ctest is in the build, each unit test in its source, each damage in its table
  - a row without a test says why, one without a control too; the open rows are as many as it says

    check_windows.py ROOT BUILD TOOL
    check_windows.py --self-test ROOT BUILD TOOL
"""

import json
import pathlib
import re
import subprocess
import sys

INVARIANTS, WINDOWS, FURTHER, TRACER_BUGS = 31, 26, 23, 20
ROW = re.compile(r"^\| ([IWT]\d+) \|(.*)\|$", re.M)
TEST_CASE = re.compile(r'TEST_CASE\w*\(\s*(?:\w+,\s*)?((?:"(?:[^"\\]|\\.)*"\s*)+)', re.S)
SHARED = ("policy=", "without=")


class known:
    """What there is to be named."""

    def __init__(self, root, build, tool):
        self.experiments, self.controls = self.read_catalogue(tool)
        shown = subprocess.check_output(["ctest", "--show-only=json-v1", "--test-dir", build], text=True)
        self.tests = {test["name"] for test in json.loads(shown)["tests"]}
        # The emulators that only one compiler's build runs under.
        self.whole = any(name.startswith("guest.bochs.") for name in self.tests)
        self.damages = set()
        for table in (root / "tests/damages").glob("*.toml"):
            self.damages |= set(re.findall(r'^name = "(.*)"$', table.read_text(), re.M))
        self.cases = {}
        for source in [*root.glob("nmisafe/**/*_test.cpp"), *root.glob("kernel/**/*_test.cpp")]:
            for text in TEST_CASE.findall(source.read_text()):
                name = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text))
                self.cases.setdefault(source.name, set()).add(name)

    @staticmethod
    def read_catalogue(tool):
        """{experiment: its paths}, {(experiment, "policy=..." or "without=...")} of the controls."""
        experiments, controls = {}, set()
        name = None
        for line in subprocess.check_output([tool, "run", "--list"], text=True).splitlines():
            words = line.split()
            if line and not line.startswith(" "):
                name = line
                experiments[name] = set()
            elif line.startswith("             paths "):
                experiments[name] |= set(words[1:])
            elif words and words[0] == "control":
                if "without" in words:
                    without = words[words.index("without") + 1]
                    controls |= {(name, "without=" + part) for part in without.split(",")}
                policies = words[1:next(i for i, word in enumerate(words) if word.startswith("x86_"))]
                if "without" not in words or "iret" in policies:
                    controls |= {(name, "policy=" + policy) for policy in policies}
        return experiments, controls

    def why_not(self, name):
        """Why `name` names nothing, or None."""
        if match := re.fullmatch(r"(\w+_test\.cpp): (.*)", name):
            if match[2] not in self.cases.get(match[1], ()):
                return f"{match[1]} has no case {match[2]!r}"
            return None
        words = name.split()
        if words[0] == "ctest":
            if not any(test == words[1] or test.startswith(words[1] + ".") for test in self.tests) and \
                    (self.whole or not words[1].startswith(("guest.", "record."))):
                return f"no test {words[1]}"
            return None
        if words[0] == "damage":
            return None if words[1] in self.damages else f"no damage {words[1]}"
        if words[0] not in self.experiments:
            return f"no experiment {words[0]}"
        if len(words) == 1:
            return None
        if words[1].startswith(SHARED):
            return None if (words[0], words[1]) in self.controls else f"{words[0]} has no control {words[1]}"
        return None if words[1] in self.experiments[words[0]] else f"{words[0]} has no path {words[1]}"


def is_test(name):
    """As against a file or instructions."""
    return "/" not in name and ";" not in name


def is_control(name):
    return any(mark in name for mark in (*SHARED, "damage ", ": control", ".iret", ".without-"))


def unnamed_cet_tests(text, there):
    """Those with CET that no row names; a row with the policy iret is named with its other."""
    named = set(re.findall(r"`ctest (\S+)`", text))
    return [f"no row names {test}" for test in sorted(there.tests)
            if test.startswith("guest.bochs.") and ".cet" in test and
            not {test, test if ".without-" in test else test.replace(".iret.", ".near.")} & named]


def expected_rows():
    """Those of docs/windows.md."""
    return [f"I{n}" for n in range(1, INVARIANTS + 1)] + [f"W{n}" for n in range(1, WINDOWS + 1)] + \
        [f"T{n}" for n in range(1, FURTHER + 1)]


def tracer_bugs():
    """Those of docs/tracer_bugs.md."""
    return [f"T{n}" for n in range(1, TRACER_BUGS + 1)]


def check(text, there, expected=expected_rows):
    """The failures, and the number of open rows."""
    failures, open_rows, found = [], 0, []
    for row, rest in ROW.findall(text):
        found.append(row)
        # A bar in a cell would shift the others.
        cells = [cell.strip() for cell in rest.split("|")]
        if len(cells) != 3 or not cells[0]:
            failures.append(f"{row}: not three cells that say something")
            continue
        what, shown, fails = cells
        is_open = re.search(r"\bopen\b", shown + " " + fails) is not None
        open_rows += is_open
        names = [re.findall(r"`([^`]+)`", cell) for cell in (shown, fails)]
        shown_by = [name for name in names[0] if is_test(name)]
        for name in [*shown_by, *names[1]]:
            if reason := there.why_not(name):
                failures.append(f"{row}: {reason}")
        if any(is_control(name) for name in shown_by):
            failures.append(f"{row}: a control among what shows it")
        if not shown_by and not re.match(r"(not here|open): \S+ \S+", shown):
            failures.append(f"{row}: neither a test nor a reason")
        if not shown.startswith("not here:") and not is_open and not any(map(is_control, names[1])):
            failures.append(f"{row}: no control")
    if found != expected():
        failures.append(f"rows: {' '.join(found)}")
    if expected is expected_rows:
        failures += unnamed_cet_tests(text, there)
    said = re.search(r"^Open rows: (\d+)\.$", text, re.M)
    if not said or int(said[1]) != open_rows:
        failures.append(f"{open_rows} rows are open, the page says {said and said[1]}")
    return failures, open_rows


def self_test(text, there):
    """What check() must find, made from the page itself."""
    first = "| I1 |"
    line = next(line for line in text.splitlines() if line.startswith(first))
    planted = {
        "a row is missing": text.replace(line + "\n", ""),
        "the last row is missing": re.sub(rf"^\| T{FURTHER} \|.*\n", "", text, flags=re.M),
        "a row is twice": text.replace(line, line + "\n" + line),
        "an experiment's name": text.replace("`breakpoint-in-nmi`", "`breakpoint-in-smi`", 1),
        "a path": text.replace("`every-instruction nmi-breakpoint`", "`every-instruction nmi-brake`", 1),
        "a control": text.replace("`nmi-state without=cr2`", "`nmi-state without=cr3`", 1),
        "a policy": text.replace("`breakpoint-in-nmi policy=iret`", "`breakpoint-in-nmi policy=near`", 1),
        "a test": text.replace("`ctest guest.crash-bad-segment`", "`ctest guest.crash-bad`", 1),
        "a case": text.replace("_test.cpp: each code segment`", "_test.cpp: each segment`", 1),
        "a damage": text.replace("`damage plan-whole-cs`", "`damage plan-half-cs`", 1),
        "no test": text.replace(line, f"{first} what holds | nothing | `damage plan-whole-cs` |"),
        "no control": text.replace(line, f"{first} what holds | `breakpoint-in-nmi` | |"),
        "a test with CET": text.replace("`ctest guest.bochs.vectors.near.x86_64.cet`, ", ""),
        "an empty row": text.replace(line, f"{first} | | |"),
        "one more is open": text.replace(line, f"{first} what holds | open: not yet shown | |"),
    }
    already = set(check(text, there)[0])
    failures = [what for what, spoilt in planted.items()
                if spoilt == text or not set(check(spoilt, there)[0]) - already]
    return [f"not noticed: {what}" for what in failures]


def main():
    arguments = sys.argv[1:]
    testing = arguments[0] == "--self-test"
    root, build, tool = arguments[testing:]
    root = pathlib.Path(root).resolve()
    text, bugs = ((root / "docs" / page).read_text() for page in ("windows.md", "tracer_bugs.md"))
    there = known(root, build, tool)
    if testing:
        failures = self_test(text, there)
        if not check(bugs.replace("| T20 |", "| T21 |"), there, tracer_bugs)[0]:
            failures.append("not noticed: a tracer's bug is missing")
        print("\n".join(failures) or "all planted mistakes noticed")
    else:
        failures, open_rows = check(text, there)
        further, open_bugs = check(bugs, there, tracer_bugs)
        failures += [f"tracer_bugs.md: {failure}" for failure in further]
        print("\n".join(failures) or f"{len(ROW.findall(text + bugs))} rows, {open_rows + open_bugs} open")
    return 1 if failures else 0


sys.exit(main())
