#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether the commands in the documents exist: their programs, subcommands, options, and the names of
experiments, formats, presets and targets that are given to them. None but --help and --list is run.

A command stands in backticks, or alone on a line that is indented; one that goes on behind a backslash is
one.

    check_commands.py [--self-test] ROOT TOOL
"""

import json
import pathlib
import re
import subprocess
import sys

OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*|(?<![\w-])-[a-zA-Z]\b")
# What CMake calls a target in a build folder, where its name is not given by a variable.
MADE = re.compile(r"(?:add_custom_target|add_executable|nmisafe_add_benchmark)\(\s*(\w+)")
WRAPPER = "bench/with_lttng"  # runs a command
# Of these only the words that the project decides are checked.
OTHERS = ("cmake", "ctest", "ninja")


class Programs:
    """What the programs of the project know, by their own words."""

    def __init__(self, root, tool):
        self.root, self.tool = root, tool
        self.run = subprocess.check_output([root / "run", "--help"], text=True)
        self.test = subprocess.check_output([root / "test", "--help"], text=True)
        self.catalogue = set(re.findall(r"[\w-]+", self.ask("run", "--list")))
        self.subcommands = {name: self.ask(name, "--help")
                            for name in re.findall(r"^  (\w+)  ", self.ask("--help"), re.M)}
        tracked = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=root,
                                          text=True).splitlines()
        lists = [(root / path).read_text() for path in tracked
                 if path.endswith(("CMakeLists.txt", ".cmake"))]
        self.targets = {name for text in lists for name in MADE.findall(text)} | {"all"}
        presets = json.loads((root / "CMakePresets.json").read_text())
        self.presets = {one["name"] for one in presets["configurePresets"]} - {"base"}

    def ask(self, *arguments):
        return subprocess.check_output([self.tool, *arguments], text=True)


def commands(text):
    """Each command as a line, without what is remarked behind it."""
    text = re.sub(r"\\\n\s*", " ", text)
    apart = re.findall(r"^ {4}(?:\$ )?(.*)$", text, re.M)
    inside = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    for found in apart + inside:
        for command in re.split(r"\s+&&\s+|\s+\|\s+", re.sub(r"\s#.*", "", " ".join(found.split()))):
            yield command


def values(words, option):
    """What is given to an option, which may stand there more than once, or take several."""
    found = []
    for place, word in enumerate(words):
        if word.startswith(option + "="):
            found.append(word.partition("=")[2])
        elif word == option:
            for value in words[place + 1:]:
                if value.startswith("-"):
                    break
                found.append(value)
                if option != "--target":
                    break
    return found


def unknown_options(command, known):
    command = command.split(" -- ")[0]
    return [f"there is no {option}" for option in OPTION.findall(command)
            if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", known)]


def wrong_experiments(words, programs):
    """Capitals stand for a name."""
    return [f"there is no experiment {name}" for name in values(words, "--experiment")
            if not name.isupper() and name not in programs.catalogue]


def problems_of_tool(words, programs):
    if len(words) < 2 or words[1].startswith("-"):
        return []
    if words[1] not in programs.subcommands:
        return [f"the tool has no {words[1]}"]
    help_text = programs.subcommands[words[1]]
    return unknown_options(" ".join(words), help_text) + wrong_experiments(words, programs) + [
        f"there is no format {name}" for name in values(words, "--to")
        if not name.isupper() and not re.search(rf"FORMAT:{{[^}}]*\b{name}\b", help_text)]


def problems_of_others(words, programs):
    found = [f"there is no target {name}" for name in values(words, "--target")
             if name not in programs.targets]
    found += [f"there is no preset {name}" for name in values(words, "--preset")
              if name not in programs.presets]
    for place in re.findall(r"\bbuild/([\w-]+)", " ".join(words)):
        if place not in programs.presets:
            found.append(f"no preset builds in build/{place}")
    return found


def problems_of(command, programs):
    words = command.replace("[", "").replace("]", "").split()
    if not words:
        return []
    if words[0] == WRAPPER and len(words) > 1:
        return problems_of(" ".join(words[1:]), programs)
    program = words[0]
    if program == "./run":
        return unknown_options(command, programs.run) + wrong_experiments(words, programs)
    if program == "./test":
        return unknown_options(command, programs.test)
    if program == "nmisafe" or program.endswith("/tool/nmisafe"):
        return problems_of_tool(words, programs) + problems_of_others(words, programs)
    if program in OTHERS or program == "--target":
        return problems_of_others(words, programs)
    built = re.fullmatch(r"build/[\w-]+/bench/(\w+)", program)
    if built:
        if built[1] not in programs.targets:
            return [f"{program} is not built"]
        known = "".join(path.read_text() for path in (programs.root / "bench").glob("*.cpp"))
        return unknown_options(command, known) + problems_of_others(words, programs)
    if "/" in program and (programs.root / program).is_file() and len(words) > 1:
        known = (programs.root / program).read_text() + "--help"
        return unknown_options(command, known)
    return []


def is_command(command):
    first = command.split(" ")[0]
    return first in ("./run", "./test", "nmisafe", "--target", *OTHERS) or first.startswith("build/")


def problems_of_pages(pages, programs):
    problems, count = [], 0
    for name, text in pages:
        for command in commands(text):
            count += is_command(command)
            problems += [f"{name}: `{command}`: {problem}" for problem in problems_of(command, programs)]
        for target in re.findall(r"\btargets?\s+`(\w+)`", text):
            if target not in programs.targets:
                problems.append(f"{name}: there is no target {target}")
    return problems, count


# Each: a page, and what is found there.
CASES = (
    ("`./run --arch x86_64 --experiment costs`", ""),
    ("    ./test tool --compiler gcc     # --nothing\n", ""),
    ("`nmisafe record --output trace -- -machine q35`, `nmisafe convert TRACE --to html -o a.html`", ""),
    ("    cmake --preset gcc && cmake --build --preset gcc --target damages long_storm\n", ""),
    ("`./run --arches x86_64`", "there is no --arches"),
    ("`./run --experiment=cost`", "there is no experiment cost"),
    ("    $ ./test --out a\n", "there is no --out"),
    ("    nmisafe record \\\n        --keep\n", "there is no --keep"),
    ("`build/gcc/tool/nmisafe show`", "the tool has no show"),
    ("`nmisafe convert TRACE --to pdf`", "there is no format pdf"),
    ("`build/gxx/tool/nmisafe stats TRACE`", "no preset builds in build/gxx"),
    ("`--target long_storms`", "there is no target long_storms"),
    ("by the target\n`hostile_task`", "there is no target hostile_task"),
    ("    cmake --preset gxx\n", "there is no preset gxx"),
    ("`build/gcc/bench/event_bench --checks`", "there is no --checks"),
    ("`build/gcc/bench/events_bench`", "is not built"),
    ("`tests/flags/check_flags.py --fully`", "there is no --fully"),
)


def self_test(programs):
    for page, expected in CASES:
        found = "\n".join(problems_of_pages([("page", page)], programs)[0])
        if (expected not in found) if expected else found:
            yield f"self-test: {page}: expected '{expected}', found '{found}'"


def main():
    root, tool = pathlib.Path(sys.argv[-2]).resolve(), sys.argv[-1]
    programs = Programs(root, tool)
    if "--self-test" in sys.argv:
        problems, count = list(self_test(programs)), len(CASES)
    else:
        tracked = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=root,
                                          text=True)
        problems, count = problems_of_pages([(name, (root / name).read_text())
                                             for name in tracked.splitlines()], programs)
        if count < 30:
            problems.append(f"only {count} commands found")
    print("\n".join(problems) or f"{count} checked")
    return 1 if problems else 0


sys.exit(main())
