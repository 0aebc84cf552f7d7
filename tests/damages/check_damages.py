# SPDX-License-Identifier: MIT
"""Damages the sources, one slip at a time, and fails unless a test notices each.

check_damages.py --source ROOT --build BUILD [--out DIR] [--list | --form | --planted | NAME...]
                 [--go-on] [--share K/N]

Without names all damages are tried; README.md says what a damage is. Each is made in a copy of
the tree below DIR, where only the programs of its test are built again. DIR keeps the log of each,
and which were noticed. With --go-on those are not tried again, as long as the sources are what they were.
"""
import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
TIME_OUT = 900  # seconds a test may take that is not damaged
# A test that a damage makes hang has noticed it: what takes so much longer than before hangs.
PATIENCE = 10  # times
LEAST_PATIENCE = 60  # seconds, on a machine with other work
HARDENED = {"user-isolation", "user-access-check"}  # experiments that have an image of their own
KEYS = {"name", "file", "before", "after", "noticed_by"}


class Wrong(Exception):
    """Something that makes the whole run worthless."""


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


def place_of(damage, root):
    """The damaged text, with the lines `before` in it exactly once."""
    path = root / damage["file"]
    if not path.is_file():
        return None, f"there is no {damage['file']}"
    text = "\n" + path.read_text()
    times = text.count("\n" + damage["before"] + "\n")
    if times != 1:
        return None, f"its lines stand {times} times in {damage['file']}"
    if damage["before"] == damage["after"]:
        return None, "it changes nothing"
    return text.replace("\n" + damage["before"] + "\n", "\n" + damage["after"] + "\n")[1:], None


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
        if damage.get("compiler") not in (None, compiler):
            continue
        if not test and "equivalent" not in damage:
            problems.append(f"{name}: no test notices it, and it is not said to be equivalent")
        elif guest[:1] == ["guest"]:
            if len(guest) != 4 or f"guest.{guest[1]}.{guest[2]}" not in tests:
                problems.append(f"{name}: there is no test '{test}'")
        elif test and test != "compiler" and test not in tests:
            problems.append(f"{name}: there is no test {test}")
    return problems


class Copy:
    """A copy of the tree, built in a folder of its own."""

    def __init__(self, source, build, out):
        self.source, self.out, self.root = source, out, out / "tree"
        self.build = self.root / "build/damaged"
        self.logs = out / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.time_outs = {}  # of each test that was timed
        self.refresh()
        cache = (build / "CMakeCache.txt").read_text()
        keep = [f"-D{line}" for line in cache.splitlines()
                if line.startswith(("CMAKE_CXX_COMPILER:", "CMAKE_ASM_COMPILER:", "NMISAFE_ARCHS:"))]
        self.must(["cmake", "-G", "Ninja", "-S", str(self.root), "-B", str(self.build), *keep,
                   "-DNMISAFE_BUILD_TESTS=ON", "-DNMISAFE_BUILD_BENCH=OFF"], "configure")

    def hash_of_sources(self):
        """Of all sources, the damages among them."""
        total = hashlib.sha256()
        for name in sorted(self.names):
            if (self.root / name).is_file():
                total.update(f"{name}\0".encode() + hashlib.sha256((self.root / name).read_bytes()).digest())
        return total.hexdigest()

    def refresh(self):
        """Makes the copy what the tree is, and touches nothing that is as it should be."""
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=self.source, text=True, capture_output=True)
        names = [name for name in listed.stdout.split("\0") if name]
        if not names:
            raise Wrong("git lists no sources")
        self.names = names
        for name in names:
            origin, target = self.source / name, self.root / name
            if not origin.is_file():
                continue
            if not target.exists() or target.read_bytes() != origin.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin, target)

    def run(self, command, log, time_out=None):
        """The exit status, or None for a time-out."""
        with (self.logs / f"{log}.log").open("a") as output:
            output.write(f"$ {' '.join(command)}\n")
            output.flush()
            with subprocess.Popen(command, cwd=self.root, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT, start_new_session=True) as child:
                try:
                    return child.wait(time_out)
                except BaseException as problem:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
                    if isinstance(problem, subprocess.TimeoutExpired):
                        return None
                    raise

    def must(self, command, log):
        if self.run(command, log) != 0:
            raise Wrong(f"{' '.join(command[:2])} failed without damage ({self.logs}/{log}.log)")

    def targets(self, test):
        if test.startswith("guest "):
            arch = test.split()[2]
            has_own = test.split()[1] in HARDENED and arch != "x86_32_pae" # which has it in its controls image
            hardened = [f"kernel_{arch}-hardened"] if has_own else []
            return ["nmisafe", f"kernel_{arch}", f"kernel_{arch}-controls"] + hardened
        if test.startswith("guest.outside."):
            arch = test.split(".")[3]
            return ["nmisafe", "injector", f"kernel_{arch}", f"kernel_{arch}-controls"]
        if test.startswith("guest.bochs."):
            return [test.removeprefix("guest.").replace(".", "-", 1)]
        if test.startswith("guest."):
            arch = test.rpartition(".")[2]
            if test == "guest.fsgsbase-nmi.x86_64":
                return ["nmisafe", "kernel_x86_64-hardened"]
            return ["nmisafe", f"kernel_{arch}", f"kernel_{arch}-controls"]
        if test.startswith("unit."):
            return [f"test_{test.removeprefix('unit.')}"]
        if test.startswith("ctf."):
            return [f"write_trace.{test.rpartition('.')[2]}"]
        if test.startswith("record."):
            arch = test[-6:] if test.endswith(("x86_64", "x86_32")) else "x86_64"
            return ["nmisafe", f"kernel_{arch}"]
        return ["all"]

    def build_for(self, test, log):
        return self.run(["cmake", "--build", str(self.build), "--target", *self.targets(test)], log)

    def test(self, test, log):
        if test.startswith("guest "):
            _, experiment, arch, policy = test.split()
            command = [str(self.build / "tool/nmisafe"), "run", "--images", str(self.build / "kernel"),
                       "--out", str(self.out / "guest"), "--jobs", "1", "--experiment", experiment,
                       "--arch", arch, "--policy", policy]
        else:
            command = ["ctest", "--test-dir", str(self.build), "--output-on-failure", "--no-tests=error",
                       "-R", "^" + test.replace(".", r"\.") + "$"]
        return self.run(command, log, self.time_outs.get(test, TIME_OUT))

    def time_test(self, test, log):
        """Runs it undamaged; whether it passes."""
        begin = time.monotonic()
        passes = self.test(test, log) == 0
        self.time_outs[test] = max(LEAST_PATIENCE, PATIENCE * (time.monotonic() - begin))
        return passes

    def try_damage(self, damage):
        """What became of it: noticed, or a reason why not."""
        name, test, path = damage["name"], damage["noticed_by"], self.root / damage["file"]
        (self.logs / f"{name}.log").unlink(missing_ok=True)
        text, problem = place_of(damage, self.root)
        if problem:
            return problem
        whole = path.read_text()
        path.write_text(text)
        try:
            if self.build_for(test, name) != 0:
                return "noticed" if test == "compiler" else "it does not compile"
            return "survived" if self.test(test, name) == 0 else "noticed"
        finally:
            path.write_text(whole)


class Noticed:
    """The names of those that were noticed, kept in a file whose first line says of which sources."""

    def __init__(self, copy, go_on):
        self.path = copy.out / "noticed"
        first = copy.hash_of_sources()
        lines = self.path.read_text().split() if go_on and self.path.exists() else []
        self.names = set(lines[1:]) if lines[:1] == [first] else set()
        self.path.write_text("\n".join([first, *sorted(self.names), ""]))

    def add(self, name):
        with self.path.open("a") as file:
            file.write(f"{name}\n")


def try_all(damages, copy, go_on=False):
    noticed = Noticed(copy, go_on)
    damages = [damage for damage in damages
               if "equivalent" not in damage and damage["name"] not in noticed.names]
    if noticed.names:
        print(f"{len(noticed.names)} were noticed before", flush=True)
    for test in sorted({damage["noticed_by"] for damage in damages} - {"compiler"}):
        log = "undamaged-" + test.replace(" ", "-")
        if copy.build_for(test, log) != 0 or not copy.time_test(test, log):
            raise Wrong(f"{test} fails without damage ({copy.logs}/{log}.log)")
    failed = 0
    for number, damage in enumerate(damages, 1):
        begin = time.monotonic()
        result = copy.try_damage(damage)
        failed += result != "noticed"
        if result == "noticed":
            noticed.add(damage["name"])
        print(f"[{number}/{len(damages)}] {damage['name']}: {result} "
              f"({damage['noticed_by']}, {time.monotonic() - begin:.0f} s)", flush=True)
    print(f"{len(damages) - failed} passed, {failed} failed")
    return failed


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
    arguments.add_argument("--test", help="only those that this test has to notice")
    arguments.add_argument("--go-on", action="store_true",
                           help="leave out those that were noticed before, with these sources")
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
                  (options.form or damage.get("compiler") in (None, compiler_of(build)))]
        # By test, so that few are built in each share.
        number, of = options.share
        tests = sorted({damage["noticed_by"] for damage in chosen})
        chosen = [damage for damage in chosen if tests.index(damage["noticed_by"]) % of == number - 1]
        if not chosen:
            raise Wrong("no damage is chosen")
        if options.planted:
            return 1 if try_planted(Copy(source, build, out)) else 0
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
