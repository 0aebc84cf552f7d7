#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles the library with what kernels are compiled with, and looks into the objects.

For each set of flags (flag_sets.py): every file compiles without a warning, and no code in the section
that no probe may touch refers to code elsewhere; or the compiler's error is the one by which that set is
refused. Nothing is run.

What a file says by itself (a name that it does not include, a call of another file's function) is seen where
each is compiled alone: the set O2, but for --joined. All other sets are there for what a compiler adds of its own to each
function; they compile all files as one, which takes a sixth of the time.

    check_flags.py --root ROOT --compiler NAME --width 64|32 [--full] [--joined] [--share]
                   [--set NAME ...]
    check_flags.py --root ROOT --compiler NAME --width 64|32 --self-test
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "image"))
import flag_sets  # noqa: E402
import trap_section  # noqa: E402

EMBEDDER = "tests/flags/embedder.cpp"
EMBEDDER_IN_C = "tests/flags/embedder.c"
# What a C compiler takes no option for.
CXX_OPTION = re.compile(r"-f(no-)?(exceptions|rtti|threadsafe-statics)|-std=c.*"
                        r"|-W(old-style-cast|non-virtual-dtor|overloaded-virtual|effc|extra-semi|suggest-override"
                        r"|zero-as-null-pointer-constant|strict-null-sentinel).*")
EMBEDDERS_CODE = ("_ZN8embedder13on_breakpointE", "_ZN8embedder13on_page_faultE",
                  "_ZN16nmisafe_platform20irq_enter_accountingE",
                  "_ZN16nmisafe_platform14capture_returnE", "_ZN16nmisafe_platform11is_no_probeE",
                  "embedder_c_on_breakpoint", "embedder_c_on_page_fault")


class Compiler:
    def __init__(self, program, width, folder):
        self.program, self.width, self.folder = program, width, folder
        self.assembled = {}
        self.assembling = threading.Lock()
        text = subprocess.check_output([program, "--version"], text=True)
        self.family = flag_sets.CLANG if "clang" in text else flag_sets.GCC
        self.version = int(re.search(r"(\d+)\.\d+\.\d+", text)[1])

    def run(self, arguments, cwd, program=None):
        return subprocess.run([program or self.program, f"-m{self.width}", *arguments], cwd=cwd, text=True,
                              capture_output=True, timeout=300)

    def compile_c(self, source, flags, output, cwd):
        """With the same flags but for C++'s, and for files that are included before all else."""
        kept, words = [], iter(flags)
        for word in words:
            if word == "-include":
                next(words)
            elif not CXX_OPTION.fullmatch(word):
                kept.append(word)
        program = self.program.replace("clang++", "clang").replace("g++", "gcc")
        return self.run(["-std=c11", *kept, "-c", str(source), "-o", output], cwd, program)

    def assemble(self, source, flags):
        """The object of an assembly source, once for all sets that differ in what only C++ is compiled with."""
        key = (source, *flags)
        with self.assembling:
            if key not in self.assembled:
                output = f"{self.folder}/{len(self.assembled)}.o"
                done = self.run([*flags, "-c", str(source), "-o", output], self.folder)
                self.assembled[key] = done, output
            return self.assembled[key]

    def compile_anew(self, objects, output, flags):
        """One object of them all: what is put off to the linker with -flto."""
        if self.family == flag_sets.GCC:
            options = ["-flinker-output=nolto-rel"]
        else:
            own_linker = pathlib.Path(os.path.realpath(self.find())).parent / "ld.lld"
            options = [f"--ld-path={own_linker}"]
        return self.run(["-r", "-nostdlib", *flags, *options, "-o", output, *objects], None)

    def find(self):
        return subprocess.check_output(["which", self.program], text=True).strip()


def sources(root, every_module):
    """The library's, each by its path from the root. Tests are not among them."""
    found = [EMBEDDER, EMBEDDER_IN_C]
    for path in sorted((root / "nmisafe").glob("*/*.[cS]*")):
        if path.suffix not in (".cpp", ".S") or path.stem.endswith("_test"):
            continue
        text = path.read_text()
        if path.suffix == ".S" and "return_fidelity" in path.name:
            continue
        if every_module or "NMISAFE_TRAP_TEXT" in text or path.suffix == ".S":
            found.append(str(path.relative_to(root)))
    return found


def compiled(root, chosen, files, folder, joined):
    """What to compile for this set: (name in messages, path), assembly too."""
    other = [(file, root / file) for file in files if file.endswith((".S", ".c"))]
    plain = [file for file in files if file.endswith(".cpp")]
    if chosen.each_alone and not joined:
        return [(file, root / file) for file in plain] + other
    # But for the embedder, whose definitions no compiler of the library sees.
    if not plain:
        return other
    path = folder / "all.cpp"
    path.write_text("".join(f'#include "{root / file}"\n' for file in plain if file != EMBEDDER))
    return [(EMBEDDER, root / EMBEDDER), ("all as one", path)] + other


def errors_of(text):
    """The lines of a compiler's output that tell an error; without one, all of it."""
    return [line for line in text.splitlines() if re.search(r"\berror:", line)] or [text]


def problems_of(root, compiler, chosen, folder, more=(), files=None, joined=False):
    """What is wrong with a set of flags, as sentences; and what came of it. `files`: only these sources. `joined`: no
    source alone."""
    # With isolated page tables it is refused.
    capture = [] if "NMISAFE_PAGE_TABLE_ISOLATION" in chosen.flags else ["-DNMISAFE_TRAP_RETURN_CAPTURE"]
    assembly_flags = [f"-I{root}", f"-I{root}/tests/flags", *capture,
                      *[flag for flag in chosen.flags.split() if flag.startswith(("-fcf", "-D"))]]
    flags = [*flag_sets.BASE, *chosen.flags.split(), f"-I{root}", f"-I{root}/tests/flags",
             *capture, *more]
    objects, outputs = [], []
    chosen_files = files or sources(root, chosen.every_module)
    for number, (source, path) in enumerate(compiled(root, chosen, chosen_files, folder, joined)):
        output = str(folder / f"{number}.o")
        if path.suffix == ".cpp":
            done = compiler.run([*flags, "-c", str(path), "-o", output], folder)
        elif path.suffix == ".c":
            done = compiler.compile_c(path, flags, output, folder)
        else:
            done, output = compiler.assemble(path, assembly_flags)
        if done.returncode != 0 or done.stderr:
            outputs.append((source, done.stderr))
        objects.append(output)
    if outputs:
        if chosen.refused:
            # Each error: where all sources are one, another's would hide behind it.
            other = [f"{source}: refused, but not by '{chosen.refused}':\n{text}" for source, text in outputs
                     if not all(re.search(chosen.refused, line) for line in errors_of(text))]
            return other, "refused by name"
        return [f"{source}:\n{text}" for source, text in outputs], "not clean"
    if chosen.refused and chosen.must_be_refused:
        return [f"it compiles, and is to be refused by '{chosen.refused}'"], "not refused"
    if "-flto" in flags:
        linked = str(folder / "linked.o")
        done = compiler.compile_anew(objects, linked, flags)
        if done.returncode != 0:
            return [f"cannot be linked:\n{done.stderr}"], "not clean"
        objects = [linked]
    read = [trap_section.ElfObject(path) for path in objects]
    problems = list(trap_section.foreign_references(read))
    if not files:
        problems += trap_section.missing(
            read, trap_section.TRAP + trap_section.LIBRARY_HANDLERS + EMBEDDERS_CODE)
    return problems, "not clean" if problems else "clean"


def check(root, compiler, chosen, more=(), files=None, joined=False):
    with tempfile.TemporaryDirectory() as folder:
        return problems_of(root, compiler, chosen, pathlib.Path(folder), more, files, joined)


def self_test(root, compiler):
    """A call that is planted in the trap text is found, at each level and where it is inlined instead of
    called; what the macros switch off would be found without them; a wrong refusal is no refusal."""
    plain = flag_sets.FlagSet
    instrumented = ["-fsanitize=kernel-address", "-fsanitize=undefined", "-fsanitize-coverage=trace-pc",
                    "-pg -mfentry", "-pg", "-finstrument-functions", "-fstack-protector-all",
                    "-fpatchable-function-entry=4"]
    if compiler.family == flag_sets.GCC:
        instrumented += ["-mindirect-branch=thunk-extern -fcf-protection=none",
                         "-mfunction-return=thunk-extern -fcf-protection=none"]
    elif compiler.version >= 16:
        instrumented += ["-mfunction-return=thunk-extern"]
    cases = [(plain("planted", f"-fno-pic -O{level}"), ["-DPLANTED"], "refers to _Z.*foreign")
             for level in (0, 2)]
    # The macros as if they were empty: every option must then show.
    bare = ["-DBARE", "-include", str(root / "tests/flags/bare_macros.hpp")]
    cases += [(plain("bare", f"-fno-pic -O2 {flags}"), bare,
               "refers to __|refers to mcount|__patchable_function_entries names") for flags in instrumented]
    cases += [(plain("wrong", "-fno-pic -O2 -DNO_SUCH_THING=", refused="no such error"), [],
               "is to be refused by 'no such error'"),
              (plain("wrong", "-fno-pic -O2 -Dpanic=", refused="no such error"), [],
               "refused, but not by 'no such error'")]
    # Two that all of it is in. What they call in other files is foreign then, under other names.
    files = [EMBEDDER, "nmisafe/trap/nmi.cpp"]
    cases = [(*case, files) for case in cases]
    in_c = [(chosen, more, expected.replace("_Z.*foreign", "foreign_of_c"), [EMBEDDER_IN_C])
            for chosen, more, expected, _ in cases if chosen.name in ("planted", "bare")]
    for chosen, more, expected, chosen_files in cases + in_c:
        found = "\n".join(check(root, compiler, chosen, more, chosen_files)[0])
        if not re.search(expected, found):
            yield (f"self-test: {' '.join(chosen_files)}: {chosen.flags} {' '.join(more)}: expected '{expected}', "
                   f"found:\n{found}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--root", required=True, type=pathlib.Path)
    arguments.add_argument("--compiler", required=True)
    arguments.add_argument("--width", required=True, type=int, choices=(64, 32))
    arguments.add_argument("--jobs", type=int, default=1)
    arguments.add_argument("--full", action="store_true", help="also the sets that find no more as a rule")
    arguments.add_argument("--joined", action="store_true", help="all sources as one in the set O2 too")
    arguments.add_argument("--share", action="store_true", help="about half of them (flag_sets.in_share)")
    arguments.add_argument("--set", action="append", help="only the sets of this name")
    arguments.add_argument("--self-test", action="store_true")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return check_all(options, arguments, Compiler(options.compiler, options.width, folder))


def check_all(options, arguments, compiler):
    root = options.root.resolve()
    if options.self_test:
        wrong = list(self_test(root, compiler))
        print("\n".join(wrong))
        return 1 if wrong else 0

    full = options.full or bool(options.set)
    every = flag_sets.sets(compiler.family)
    chosen = [one for one in every
              if one.applies_to(compiler.family, compiler.version, compiler.width, full) and
              (not options.set or one.name in options.set) and
              (not options.share or flag_sets.in_share(one, every, compiler.version, compiler.width))]
    if not chosen:
        arguments.error("no such set for this compiler and width")
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = pool.map(lambda one: check(root, compiler, one, joined=options.joined), chosen)
        for one, (problems, outcome) in zip(chosen, results):
            print(f"{one.name}: {outcome}", flush=True)
            failed += bool(problems)
            for problem in problems:
                print(f"    {problem}")
    print(f"{compiler.family} {compiler.version}, {compiler.width} bits: {len(chosen)} sets, "
          f"{failed} failed")
    return 1 if failed else 0


sys.exit(main())
