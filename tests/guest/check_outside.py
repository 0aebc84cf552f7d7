#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs from-outside or start-under-nmi under QEMU with the injector, and checks its rows.

Of from-outside the undisturbed walk of each path, as the injector logged it, is compared with the places
where the guest saw the event: every instruction of the path must have been interrupted.
"""

import argparse
import pathlib
import re
import subprocess
import sys

PATHS = ("breakpoint", "page-fault", "debug", "interrupt", "nmi-breakpoint", "nmi-page-fault", "int-2")
FURTHER_PATHS = ("debug", "interrupt", "int-2") # with part=all
USER_ROADS = ("breakpoint", "int-80", "page-fault", "syscall", "syscall-iret", "bad-return", "debug", "interrupt")
USER_PATHS = ("nmi-from-user", "nmi-to-fault", "nmi-to-segment", "nmi-refused", "nmi-in-kernel")
HARMS = ("nested", "lost", "corrupted", "unsafe_irets", "failures")
# What the injector has to know, and the kernel's options: the path is a window of the first CPU's, or the
# start of the second one, from its first instruction, in the page of KERNEL_TRAMPOLINE, on.
# A task's path is from its first instruction to its fourth, or to where the kernel ends it.
TASK = 0x400000
EXPERIMENTS = {
    "from-outside": ({"begin": ["window_outside_begin"], "end": ["window_outside_end"], "cpu": [0]}, ""),
    "user": ({"begin": ["window_outside_begin", TASK], "cpu": [0],
              "end": ["window_outside_end", TASK + 3, "kernel_leave_task"]}, "mode=user"),
    "user-roads": ({"begin": [TASK], "end": [TASK + 3, "kernel_leave_task"], "cpu": [0]}, "mode=user-roads"),
    "start-under-nmi": ({"begin": [0x8000], "end": ["kernel_joined"], "cpu": [1]}, "late=1"),
}
# The one boundary of x86-64's latch that nothing can close is spared, but where it is to be seen that the
# machine stops there by name (--stops).
COMMON = {"x86_32": {"done": ["outside_done"]},
          "x86_64": {"done": ["outside_done"], "spare": ["nmisafe_trap_nmi_entry", "nmisafe_user_nmi_entry"]}}
COMMON["x86_32_pae"] = COMMON["x86_32"]


def arguments(elf, experiment, arch):
    listed = subprocess.check_output(["nm", elf], text=True)
    found = {words[2]: words[0] for words in map(str.split, listed.splitlines()) if len(words) == 3}
    return [f"{name}={value if isinstance(value, int) else '0x' + found[value]}"
            for name, values in {**EXPERIMENTS[experiment][0], **COMMON[arch]}.items() for value in values]


def one_instruction_a_block(program):
    """Its options: the one of QEMU 7.2 went with 10.0, the other came with 8.1."""
    shown = subprocess.check_output([program, "--version"], text=True)
    version = tuple(map(int, re.search(r"version (\d+)\.(\d+)", shown).groups()))
    accelerator = "tcg,thread=single"
    if version >= (8, 1):
        return ["-accel", accelerator + ",one-insn-per-tb=on"]
    return ["-accel", accelerator, "-singlestep"]


def run(options):
    elf = pathlib.Path(options.images, f"nmisafe-{options.arch}{options.variant}.elf")
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    console, walk = out / "console.log", out / "walk.log"
    if options.stops or options.event != "unblocked-nmi":
        COMMON[options.arch].pop("spare", None)
    elif options.endbr:
        COMMON[options.arch]["spare_size"] = [5] # the ENDBR, and what stands behind it
    if options.variant == "-hardened": # with a task's page tables the emulator finds no word of the kernel's
        EXPERIMENTS[options.experiment][0]["end"] = [
            end for end in EXPERIMENTS[options.experiment][0]["end"] if end != TASK + 3]
    injector = arguments(elf, options.experiment, options.arch) + [f"event={options.event}", f"log={walk}"]
    name = "from-outside" if options.experiment.startswith("user") else options.experiment
    words = f"experiment={name} policy={options.policy} event={options.event} " + EXPERIMENTS[options.experiment][1]
    words += " " + options.words
    if options.without:
        words += " without=" + options.without
    program = "qemu-system-x86_64" if options.arch == "x86_64" else "qemu-system-i386"
    done = subprocess.run(
        [program, "-machine", "q35", "-m", "64", "-smp", "2" if "late" in words else "1", "-cpu", "max", *one_instruction_a_block(program),
         "-kernel", elf.with_suffix(".image"), "-append", words, "-nodefaults",
         "-display", "none", "-no-reboot", "-debugcon", f"file:{console}", "-device",
         "isa-debug-exit,iobase=0xf4,iosize=0x4", "-plugin",
         ",".join([options.injector] + injector)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=options.limit, check=False)
    text = console.read_text(errors="replace") if console.exists() else ""
    failures = [] if done.returncode == 33 else [f"exit status {done.returncode}: {done.stderr[-500:]}"]
    return text, walk.read_text() if walk.exists() else "", failures


def judge_coverage(console, paths, walks, elf_range):
    """Every instruction of each walk was interrupted, but for those before which no event could be."""
    failures = []
    for path, walk in zip(paths, walks):
        seen = set()
        for words in re.findall(rf"^@rips path={path} list=(\S+)", console, re.M):
            seen |= {int(word, 16) for word in words.split(",")}
        walked = [int(word, 16) for word in walk[1:]]
        # The event comes behind an instruction: before the first one there is none.
        missed = {address for address in walked[1:] if address in elf_range} - seen
        if len(walked) < 100:
            failures.append(f"{path}: only {len(walked)} instructions")
        if missed:
            some = " ".join(f"{address:#x}" for address in sorted(missed)[:8])
            failures.append(f"{path}: {len(missed)} instructions not interrupted: {some}")
    return failures


def judge_control(rows, console, harm, harmless_paths):
    """The harm must show, and where an NMI handler is interrupted: behind the paths that do no harm."""
    panic = re.search('^@panic what="(.*?)"', console, re.M)
    print(f"panic: {panic[1] if panic else 'none'}")
    if harm == "reset":
        return 0 if not rows and not panic and "experiment=start-under-nmi" in console else 1
    before, rows = rows[:harmless_paths], rows[harmless_paths:]
    harmless = len(before) == harmless_paths and \
        not any(int(row[key]) for row in before for key in HARMS if key != "unsafe_irets")
    if harm == "failures":
        harmful = not panic and any(int(row["failures"]) for row in rows)
    elif harm == "nested":
        harmful = not panic and any(int(row["nested"]) for row in rows)
    else:
        harmful = not rows and panic is not None and re.fullmatch(harm, panic[1])
    return 0 if harmless and harmful else 1


def main():
    parser = argparse.ArgumentParser()
    for option in ("images", "injector", "out", "arch", "event"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--experiment", choices=EXPERIMENTS, default="from-outside")
    parser.add_argument("--policy", default="near")
    parser.add_argument("--variant", default="")
    parser.add_argument("--without", default="")
    parser.add_argument("--words", default="", help="more of the kernel's command line")
    parser.add_argument("--endbr", action="store_true", help="the image's entries begin with ENDBR")
    parser.add_argument("--stops", help="the panic that it ends in")
    parser.add_argument("--expected", choices=("safe", "latched"), default="safe",
                        help="latched: IRETs let NMIs in, and no harm comes of it")
    parser.add_argument("--harm", help="what the control shows: nested, failures, reset, or the panic it ends in, a pattern")
    parser.add_argument("--harmed", help="the first path to which that harm is done")
    parser.add_argument("--limit", type=int, default=300, help="seconds")
    options = parser.parse_args()

    console, walk, failures = run(options)
    rows = [dict(re.findall(r"(\w+)=(\S+)", line))
            for line in console.splitlines() if line.startswith("@row")]
    walks = [part.split() for part in walk.split("path ")[1:]]
    paths = {"from-outside": PATHS, "user": USER_PATHS, "user-roads": USER_ROADS}.get(options.experiment, (None,))
    if options.experiment == "from-outside" and "part=all" not in options.words.split():
        paths = [path for path in paths if path not in FURTHER_PATHS or
                 (path == "int-2" and options.event == "unblocked-nmi")]
    if options.experiment == "user" and options.arch == "x86_64":
        paths = [path for path in paths if path != "nmi-to-segment"]
    if [row.get("path") for row in rows] != list(paths) or len(walks) != len(paths):
        failures.append(f"{len(rows)} rows, {len(walks)} walks")
    for row, walked in zip(rows, walks):
        latched = options.expected == "latched"
        failures += [f"{harm}={row[harm]} in {row}" for harm in HARMS
                     if (int(row[harm]) == 0 if latched and harm == "unsafe_irets" else int(row[harm]))]
        if int(row["boundaries"]) - len(walked) not in (0, 1, 2):
            failures.append(f"{row['boundaries']} passes, {len(walked)} instructions")
        # In the last pass, and perhaps in one more, nothing was raised.
        if options.event == "smi" and int(row["boundaries"]) - int(walked[0]) not in (1, 2):
            failures.append(f"{row['path']}: {walked[0]} SMIs in {row['boundaries']} passes")
    text = re.search(r"^@text begin=(\S+) end=(\S+)", console, re.M)
    if not failures and options.event == "machine-check" and options.experiment == "from-outside":
        failures += judge_coverage(console, paths, walks, range(int(text[1], 16), int(text[2], 16)))
    print("\n".join(f"{row.get('path')}: {row['boundaries']} passes, {row['nmis_handled']} NMIs" for row in rows))
    if options.stops:
        stopped = f'@panic what="{options.stops}"' in console
        print("stopped by name" if stopped else console[-2000:])
        return 0 if stopped else 1
    if options.harm:
        return judge_control(rows, console, options.harm, paths.index(options.harmed) if options.harmed else 0)
    if failures:
        print("\n".join(failures + [line for line in console.splitlines() if re.match("@(fail|panic)", line)]),
              file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
