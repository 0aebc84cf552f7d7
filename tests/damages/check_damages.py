# SPDX-License-Identifier: MIT
"""Damages the sources, one slip at a time, and fails unless a test notices each.

check_damages.py --source ROOT --build BUILD [--out DIR] [--list | --form | --planted | --state | NAME...]
                 [--go-on] [--share K/N]

Without names all damages are tried; README.md says what a damage is. Each is made in a copy of
the tree below DIR, where only the programs of its test are built again. DIR keeps the log of each,
and what became of it (the file `results`). With --go-on those that were noticed are not tried again, as long as
nothing is changed that their test is made from, nor the damage.
"""
import argparse
import json
import pathlib
import re
import resource
import subprocess
import sys
import time
import tomllib

from damaged_copy import Copy, Wrong, place_of, sha

HERE = pathlib.Path(__file__).resolve().parent
KEYS = {"name", "file", "before", "after", "noticed_by"}


def read_damages(folder):
    damages = []
    for path in sorted(folder.glob("*.toml")):
        for damage in tomllib.loads(path.read_text())["damage"]:
            if set(damage) - {"equivalent", "compiler"} != KEYS:
                raise Wrong(f"{path.name}: {damage.get('name')}: keys are not {sorted(KEYS)}")
            damages.append(damage)
    if not damages:
        raise Wrong("there are no damages")
    return damages


def compiler_for(damage):
    """Whose build has the test: the second compiler's has a share of them."""
    return damage.get("compiler", "gcc")


def compiler_of(build):
    cache = (build / "CMakeCache.txt").read_text()
    return "clang" if re.search(r"^CMAKE_CXX_COMPILER:\w+=.*clang", cache, re.M) else "gcc"


def known_tests(build):
    listed = subprocess.run(["ctest", "--test-dir", str(build), "--show-only=json-v1"], text=True,
                            capture_output=True, check=True).stdout
    return {test["name"] for test in json.loads(listed)["tests"]}


def check_form(damages, root, tests, compiler):
    """What is wrong with them; of tests that only another compiler's build has, nothing is known here."""
    problems, names = [], set()
    for damage in damages:
        name = damage["name"]
        if name in names:
            problems.append(f"{name}: the name stands twice")
        names.add(name)
        problem = place_of(damage, root)[1]
        if problem:
            problems.append(f"{name}: {problem}")
        test = damage["noticed_by"]
        guest = test.split()
        if compiler_for(damage) != compiler:
            continue
        if not test and "equivalent" not in damage:
            problems.append(f"{name}: no test notices it, and it is not said to be equivalent")
        elif guest[:1] == ["guest"]:
            if len(guest) != 4 or f"guest.{guest[1]}.{guest[2]}" not in tests:
                problems.append(f"{name}: there is no test '{test}'")
        elif test and test != "compiler" and test not in tests:
            problems.append(f"{name}: there is no test {test}")
    return problems


class Results:
    """What became of each damage: lines of JSON that are only added to, so that nothing is lost.

    A line about a test has the files that it was made from, and the hash of them and of its commands; a line about a
    damage has that hash. It holds while the same files and commands have the same hash.
    """

    def __init__(self, copy):
        self.copy, self.path = copy, copy.out / "results"
        self.tests, self.damages = {}, {}
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError: # was cut while it was written
                continue
            if "files" in entry:
                self.tests[entry["test"]] = entry
            else:
                self.damages[entry["damage"]] = entry
        self.hashes = {}  # of each test as it is now
        revision = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=copy.source, text=True,
                                  capture_output=True)
        self.revision = revision.stdout.strip()

    def add(self, entry):
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def hash_now(self, test):
        if test not in self.hashes and test in self.tests:
            self.hashes[test] = self.copy.hash_of(test, self.tests[test]["files"])
        return self.hashes.get(test)

    def note_test(self, test, times):
        """To be called when it is built and has passed."""
        files = self.copy.files_of(test)
        self.hashes[test] = self.copy.hash_of(test, files)
        self.tests[test] = {"test": test, "hash": self.hashes[test], **times, "files": files}
        self.add(self.tests[test])

    def note(self, damage, result, times):
        entry = {"damage": damage["name"], "slip": slip(damage), "result": result, "test": damage["noticed_by"],
                 "hash": self.hashes.get(damage["noticed_by"]), **times, "revision": self.revision}
        self.damages[damage["name"]] = entry
        self.add(entry)

    def known(self, damage):
        """What became of it, or None if it was not tried, or something is another now."""
        entry = self.damages.get(damage["name"])
        if not entry or entry["slip"] != slip(damage) or entry["test"] != damage["noticed_by"]:
            return None
        return entry["result"] if entry["hash"] and entry["hash"] == self.hash_now(entry["test"]) else None


def slip(damage):
    return sha("\0".join((damage["file"], damage["before"], damage["after"])).encode())


class Watch:
    """What something takes: on the clock, and of CPUs, which is what it takes on an idle machine."""

    def __init__(self):
        self.begin = self.now()

    @staticmethod
    def now():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.monotonic(), used.ru_utime + used.ru_stime

    def times(self):
        return {key: round(end - begin) for key, begin, end in zip(("seconds", "cpu_seconds"), self.begin, self.now())}


def in_order(damages):
    """By test, the cheap ones first, and of a test by file: what is built for one is built for the next."""
    def kind(test):
        return ("unit.", "tool.", "ctf.", "image.", "record.", "guest").index(
            next((begin for begin in ("unit.", "tool.", "ctf.", "image.", "record.") if test.startswith(begin)), "guest"))
    return sorted(damages, key=lambda one: (kind(one["noticed_by"]), one["noticed_by"], one["file"], one["name"]))


def try_all(damages, copy, go_on=False):
    results = Results(copy)
    damages = [damage for damage in damages if "equivalent" not in damage]
    if go_on:
        every, damages = damages, [one for one in damages if not (results.known(one) or "").startswith("noticed")]
        print(f"{len(every) - len(damages)} of {len(every)} were noticed before", flush=True)
    failed, ready, parts = 0, {}, {}
    for number, damage in enumerate(in_order(damages), 1):
        test, watch = damage["noticed_by"], Watch()
        if test not in ready:
            log = "undamaged-" + test.replace(" ", "-")
            (copy.logs / f"{log}.log").unlink(missing_ok=True)
            ready[test] = test == "compiler" or copy.passes(test, log)
            if ready[test] and test != "compiler":
                results.note_test(test, watch.times())
                parts[test] = set(results.tests[test]["files"])
            watch = Watch()
        if not ready[test]:
            result = "its test fails without damage"
        elif test != "compiler" and damage["file"] not in parts[test]:
            result = "its test is not made from that file"
        else:
            result = copy.try_damage(damage)
        times = watch.times()
        failed += not result.startswith("noticed")
        results.note(damage, result, times)
        print(f"[{number}/{len(damages)}] {damage['name']}: {result} ({test}, {times['seconds']} s)", flush=True)
    print(f"{len(damages) - failed} passed, {failed} failed")
    return failed


def print_state(damages, copy):
    """What is known of each; whether something is left to be done."""
    results, counts = Results(copy), {}
    for damage in in_order(damages):
        state = "equivalent" if "equivalent" in damage else results.known(damage)
        if not state:
            state = "changed since" if damage["name"] in results.damages else "not tried"
        counts[state] = counts.get(state, 0) + 1
        if not state.startswith(("noticed", "equivalent")):
            print(f"{damage['name']}: {state} ({damage['noticed_by']})")
    print(", ".join(f"{state} {count}" for state, count in sorted(counts.items())))
    return any(not state.startswith(("noticed", "equivalent")) for state in counts)


def try_planted(copy):
    """That this very test can fail: damages that it must call survived, broken and misplaced."""
    base = {"file": "nmisafe/trap/return_plan.hpp", "noticed_by": "unit.trap.return_plan",
            "before": "#pragma once"}
    planted = {
        "survived": {**base, "name": "planted-harmless", "after": "#pragma once\n"},
        "it does not compile": {**base, "name": "planted-broken", "after": "#error planted"},
        "its lines stand 0 times in nmisafe/trap/return_plan.hpp":
            {**base, "name": "planted-elsewhere", "before": "no such line", "after": ""},
    }
    if not copy.passes(base["noticed_by"], "undamaged"):
        raise Wrong(f"{base['noticed_by']} fails without damage ({copy.logs}/undamaged.log)")
    wrong = 0
    for expected, damage in planted.items():
        result = copy.try_damage(damage)
        if result != expected:
            print(f"{damage['name']}: '{result}', not '{expected}'")
            wrong += 1
    print(f"{len(planted) - wrong} passed, {wrong} failed")
    return wrong


def share(text):
    number, of = map(int, text.split("/"))
    if not 1 <= number <= of:
        raise ValueError
    return number, of


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--source", type=pathlib.Path, required=True)
    arguments.add_argument("--build", type=pathlib.Path, required=True,
                           help="a build of it: for its compiler and its list of tests")
    arguments.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/damages"))
    arguments.add_argument("--list", action="store_true", help="only list the damages")
    arguments.add_argument("--form", action="store_true", help="only look whether they can be made")
    arguments.add_argument("--planted", action="store_true", help="try damages that must not pass")
    arguments.add_argument("--state", action="store_true", help="only say what is known of each")
    arguments.add_argument("--test", help="only those that this test has to notice")
    arguments.add_argument("--go-on", action="store_true",
                           help="leave out those that were noticed before, if their test is still made from the same")
    arguments.add_argument("--share", type=share, default=(1, 1), metavar="K/N",
                           help="only the K-th of N shares, for several at a time, each with its own DIR")
    arguments.add_argument("names", nargs="*", metavar="NAME")
    options = arguments.parse_args()
    source, build, out = options.source.resolve(), options.build.resolve(), options.out.resolve()
    try:
        damages = read_damages(HERE)
        unknown = set(options.names) - {damage["name"] for damage in damages}
        if unknown:
            raise Wrong(f"no damage is called {', '.join(sorted(unknown))}")
        if options.list:
            for damage in damages:
                print(f"{damage['name']}: {damage['file']}, "
                      f"{damage['noticed_by'] or 'equivalent: ' + damage['equivalent']}")
            return 0
        chosen = [damage for damage in damages
                  if (not options.names or damage["name"] in options.names) and
                  options.test in (None, damage["noticed_by"]) and
                  (options.form or options.names or compiler_for(damage) == compiler_of(build))]
        # By test, so that few are built in each share.
        number, of = options.share
        tests = sorted({damage["noticed_by"] for damage in chosen})
        chosen = [damage for damage in chosen if tests.index(damage["noticed_by"]) % of == number - 1]
        if not chosen:
            raise Wrong("no damage is chosen")
        if options.planted:
            return 1 if try_planted(Copy(source, build, out)) else 0
        if options.state:
            return 1 if print_state(chosen, Copy(source, build, out)) else 0
        problems = check_form(chosen, source, known_tests(build), compiler_of(build))
        print("\n".join(problems) if problems else f"{len(chosen)} damages can be made")
        if options.form or problems:
            return 1 if problems else 0
        return 1 if try_all(chosen, Copy(source, build, out), options.go_on) else 0
    except Wrong as problem:
        print(f"check_damages.py: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
