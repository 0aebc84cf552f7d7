#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Traces of experiments as `nmisafe run` starts them: babeltrace2 reads each without a warning, and events and
losses are those that the kernel has generated, exactly.

    check_experiments.py TOOL IMAGES OUT [--processors 1,2,4] [--resume] [--shard K/N] [OPTIONS OF RUN...]

Each guest's RAM is a file, out of which the trace is extracted when the guest has ended: nobody takes packets while
it runs, so buffers that keep what came first lose most of it, and count what. With `trace=overwrite` among the
options the oldest go, and only what is there is looked at. The rows themselves must pass too.

One experiment of one architecture at a time, with at least so many CPUs as `--processors` says, or its own number.
Some are for one CPU: what fails with more, and without a trace too, is said to be not for so many. What passed is kept
in OUT/passed.json, and with `--resume` not done again while tool and images are the same.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import babeltrace  # noqa: E402

WRAPPER = """#!{python}
import os, sys
arguments = sys.argv[1:]
line = " ".join(arguments)
if "-smp" in arguments:
    number = arguments.index("-smp") + 1
    arguments[number] = str(max(int(arguments[number]), int(os.environ["PROCESSORS"])))
if "trace=on" in line or "trace=overwrite" in line:
    stem = "{folder}/" + str(os.getpid())
    open(stem + ".line", "w").write(" ".join(arguments))
    arguments += ["-object", "memory-backend-file,id=traced,size=64M,mem-path=" + stem + ",share=on",
                  "-machine", "memory-backend=traced"]
os.execv("{real}", ["{real}", *arguments])
"""
COUNTS = re.compile(r"^trace: generated=(\d+) written=(\d+) lost=(\d+) unrecorded=(\d+)$", re.M)
# They ask for a trace themselves.
TRACED_ANYWAY = {"trace-example"}
# CPUs that they start when the trace has begun have no buffers.
STARTS_CPUS = {"threads"}
PASSED, FAILED = "passed", "FAILED"


def wrap_emulators(out, folder):
    """Programs that are found before QEMU's, and give the guest RAM that stays."""
    programs = out / "bin"
    for name in ("qemu-system-x86_64", "qemu-system-i386"):
        real = shutil.which(name)
        if real is None:
            continue
        programs.mkdir(parents=True, exist_ok=True)
        (programs / name).write_text(WRAPPER.format(python=sys.executable, real=real, folder=folder))
        (programs / name).chmod(0o755)
    return dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}")


def experiments_of(tool):
    """Each experiment that `run --list` has, with its architectures; those that crash on purpose have no end."""
    found = {}
    name = None
    for line in subprocess.run([tool, "run", "--list"], capture_output=True, text=True, check=True).stdout.splitlines():
        if line and not line.startswith(" "):
            name = line
        elif re.match(r"    safe +", line) and "must fail" not in line:
            for arch in re.findall(r"\bx86_\w+", line):
                found.setdefault(name, []).append(arch) if arch not in found.get(name, []) else None
    return found


def name_of(line):
    arch = re.search(r"nmisafe-(\w+?)(?:-[\w-]+)?\.image", line).group(1)
    experiment, policy = (re.search(rf"\b{key}=(\S+)", line).group(1) for key in ("experiment", "policy"))
    return f"{arch}-{experiment}-{policy}"


def check(tool, ram, experiment, overwrites, console, trace):
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
    if unrecorded != 0 and experiment not in STARTS_CPUS:
        problems.append(f"{unrecorded} events of CPUs without buffers")
    # What was overwritten is not discarded.
    if not overwrites and (events, discarded) != (written, lost):
        problems.append(f"{events} events and {discarded} discarded, of {written} written and {lost} lost")
    if overwrites and (events > written or not events and written):
        problems.append(f"{events} events of {written} written")
    return problems, (generated, events, discarded)


def run_experiment(options, unit, out, environment, mode):
    arch, experiment, processors = unit
    return subprocess.run([options.tool, "run", "--images", options.images, "--out", str(out), "--no-controls",
                           "--jobs", "1", "--arch", arch, "--experiment", experiment, *mode, *options.run],
                          env=dict(environment, PROCESSORS=str(processors)), capture_output=True, text=True,
                          check=False)


def run_unit(options, unit, folder, environment):
    """One experiment of one architecture: what is to be said of it, and the sums of its traces."""
    experiment = unit[1]
    mode = [] if experiment in TRACED_ANYWAY or any("trace=" in one for one in options.run) \
        else ["--kernel-option", "trace=on"]
    out = options.out / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = run_experiment(options, unit, out, environment, mode)
    well = run.returncode == 0
    if not well:
        print(run.stdout + run.stderr, flush=True)
    sums = [0, 0, 0, 0]
    for line in sorted(folder.glob("*.line")):
        text = line.read_text()
        name = name_of(text)
        console = (out / f"{name}.log").read_text(errors="replace")
        problems, numbers = check(options.tool, line.with_suffix(""), experiment, "trace=overwrite" in text, console,
                                  options.out / "trace")
        for problem in problems:
            well = False
            print(f"{name}: {problem}", flush=True)
        cpus = re.search(r"-smp (\d+)", text).group(1)
        if numbers:
            sums = [a + b for a, b in zip(sums, (1, *numbers))]
            print(f"{name}, CPUs {cpus}: generated {numbers[0]}, read {numbers[1]}, discarded {numbers[2]}", flush=True)
    shutil.rmtree(folder)
    if well and sums[0] > 0:
        return PASSED, sums
    if unit[2] > 1 and mode and run_experiment(options, unit, out, environment, []).returncode != 0:
        return f"not for {unit[2]} CPUs, traced or not", [0, 0, 0, 0]
    return FAILED, sums


def digest_of(tool, images):
    what = hashlib.sha256(pathlib.Path(tool).read_bytes())
    for image in sorted(pathlib.Path(images).glob("nmisafe-*.image")):
        what.update(image.read_bytes())
    return what.hexdigest()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("images")
    parser.add_argument("out", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("--processors", default="1")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--shard", default="0/1")
    parser.add_argument("--arch", action="append")
    parser.add_argument("--experiment", action="append")
    options, options.run = parser.parse_known_args()
    shard, shards = map(int, options.shard.split("/"))
    units = [(arch, experiment, int(processors)) for experiment, archs in experiments_of(options.tool).items()
             for arch in archs for processors in options.processors.split(",")
             if experiment in (options.experiment or [experiment]) and arch in (options.arch or [arch])][shard::shards]
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "passed.json"
    digest = digest_of(options.tool, options.images) + " ".join(options.run)
    passed = json.loads(kept.read_text()) if options.resume and kept.exists() else {}
    passed = passed if passed.get("digest") == digest else {"digest": digest}
    environment = wrap_emulators(options.out, options.out / "ram")
    failed = []
    total = [0, 0, 0, 0]
    for unit in units:
        key = " ".join(map(str, unit))
        if key not in passed:
            begun = time.monotonic()
            verdict, sums = run_unit(options, unit, options.out / "ram", environment)
            print(f"{key}: {verdict}, {time.monotonic() - begun:.0f} s", flush=True)
            if verdict == FAILED:
                failed.append(key)
                continue
            passed[key] = sums
            kept.write_text(json.dumps(passed))
        total = [a + b for a, b in zip(total, passed[key])]
    print(f"{len(units)} runs, {total[0]} traces: generated {total[1]}, read {total[2]}, discarded {total[3]}")
    for key in failed:
        print(f"failed: {key}")
    return 1 if failed or total[2] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
