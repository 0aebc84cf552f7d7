#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Traces of experiments as `nmisafe run` starts them: babeltrace2 reads each without a warning, and events and
losses are those that the kernel has generated, exactly.

    check_experiments.py TOOL IMAGES OUT [OPTIONS OF RUN...]

Each guest's RAM is a file, out of which the trace is extracted when the guest has ended: nobody takes packets while
it runs, so buffers that keep what came first lose most of it, and count what. With `trace=overwrite` among the
options the oldest go, and only what is there is looked at. The rows themselves must pass too.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import babeltrace  # noqa: E402

WRAPPER = """#!/bin/sh
case "$*" in
*trace=on* | *trace=overwrite*) ;;
*) exec {real} "$@" ;;
esac
echo "$*" > {folder}/$$.line
exec {real} "$@" -object memory-backend-file,id=traced,size=64M,mem-path={folder}/$$,share=on \\
    -machine memory-backend=traced
"""
COUNTS = re.compile(r"^trace: generated=(\d+) written=(\d+) lost=(\d+) unrecorded=(\d+)$", re.M)


def wrap_emulators(out, folder):
    """Programs that are found before QEMU's, and give the guest RAM that stays."""
    programs = out / "bin"
    for name in ("qemu-system-x86_64", "qemu-system-i386"):
        real = shutil.which(name)
        if real is None:
            continue
        programs.mkdir(parents=True, exist_ok=True)
        (programs / name).write_text(WRAPPER.format(real=real, folder=folder))
        (programs / name).chmod(0o755)
    return dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}")


def name_of(line):
    arch = re.search(r"nmisafe-(\w+?)(?:-[\w-]+)?\.image", line).group(1)
    experiment, policy = (re.search(rf"\b{key}=(\S+)", line).group(1) for key in ("experiment", "policy"))
    return f"{arch}-{experiment}-{policy}"


def check(tool, ram, name, console, trace):
    """What is wrong with one guest's trace."""
    counts = COUNTS.search(console)
    if counts is None:
        return ["the kernel has not said what it has generated"], None
    generated, written, lost, unrecorded = map(int, counts.groups())
    done = subprocess.run([tool, "extract", "--replace", str(ram), "--output", str(trace)], capture_output=True,
                          text=True, timeout=300, check=False)
    if done.returncode != 0:
        return [f"extract: {done.stdout}{done.stderr}"], None
    lines, discarded, problems = babeltrace.read("babeltrace2", trace)
    events = sum(" packet_state: " not in line for line in lines)
    if "the machine: ended" not in done.stdout or "left out" in done.stdout:
        problems.append(done.stdout.strip())
    if generated != written + lost + unrecorded:
        problems.append(f"generated {generated} is not written {written}, lost {lost} and unrecorded {unrecorded}")
    if unrecorded != 0 and "-threads-" not in name:
        problems.append(f"{unrecorded} events of CPUs without buffers")
    overwrites = "trace=overwrite" in name
    # What was overwritten is not discarded.
    if not overwrites and (events, discarded) != (written, lost):
        problems.append(f"{events} events and {discarded} discarded, of {written} written and {lost} lost")
    if overwrites and (events > written or not events and written):
        problems.append(f"{events} events of {written} written")
    return problems, (generated, events, discarded)


def main(tool, images, out, *options):
    out = pathlib.Path(out).resolve()
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "ram"
    folder.mkdir(parents=True)
    mode = [] if any("trace=" in one for one in options) else ["--kernel-option", "trace=on"]
    run = subprocess.run([tool, "run", "--images", images, "--out", str(out / "run"), "--no-controls", "--jobs", "1",
                          *mode, *options], env=wrap_emulators(out, folder), check=False)
    failed = run.returncode != 0
    checked = [0, 0, 0]
    guests = 0
    for line in sorted(folder.glob("*.line")):
        text = line.read_text()
        ram = line.with_suffix("")
        if "mode=trace" in text or " -d " in text:  # a logged run
            ram.unlink(missing_ok=True)
            continue
        name = name_of(text)
        log = out / "run" / f"{name}.log"
        problems, numbers = check(tool, ram, name + " " + text, log.read_text(errors="replace"), out / "trace")
        ram.unlink(missing_ok=True)
        guests += 1
        for problem in problems:
            failed = True
            print(f"{name}: {problem}", flush=True)
        if numbers:
            checked = [a + b for a, b in zip(checked, numbers)]
            print(f"{name}: generated {numbers[0]}, read {numbers[1]}, discarded {numbers[2]}", flush=True)
    print(f"{guests} traces: generated {checked[0]}, read {checked[1]}, discarded {checked[2]}")
    return 1 if failed or guests == 0 or checked[1] == 0 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
