#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Has babeltrace2 read what write_tracer wrote: every event with its context and values, every loss, and each
packet's state.

    check_tracer.py --babeltrace PROGRAM --out FOLDER -- WRITE_TRACER...

Traces in which one event is missing, or one byte is another, are the controls: they must be noticed.
"""

import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import babeltrace  # noqa: E402

EVENT = re.compile(r"^\[.*?\] \(.*?\) (\w+): \{ .*?cpu_id = ([01]) \}, "
                   r"\{ context = \( \"(\w+)\" : container = \d \), depth = (\d+) \}, (?:\{ (.*) \}|\{ \})$")
KINDS = {"numbers", "sample", "net_packet", "net_name", "kprobe", "sched_switch"}
MAGIC = bytes.fromhex("c11ffcc1")


def read(arguments, folder):
    """What is in a trace: events as write_tracer says them, states, losses and complaints."""
    lines, lost, problems = babeltrace.read(arguments.babeltrace, folder, "--clock-seconds")
    events, states = collections.Counter(), collections.Counter()
    for line in lines:
        match = EVENT.match(line)
        if not match:
            problems.append(f"not an event of ours: {line}")
            continue
        name, cpu, context, depth, fields = match.groups()
        fields = re.sub(r"_chain_length = \d+, ", "", fields or "")
        if name == "packet_state":
            states[fields] += 1
            continue
        if name == "kprobe":  # the registers are whatever they are
            fields = fields.split(", ")[0]
        events[f"{name} cpu={cpu} context={context} depth={depth} {fields}"] += 1
    return events, states, lost, problems


def problems_of(arguments, folder, written, lost):
    events, states, discarded, problems = read(arguments, folder)
    problems += [f"written, not read: {one}" for one in (written - events)]
    problems += [f"read, not written: {one}" for one in (events - written)]
    if discarded != lost:
        problems.append(f"{discarded} events discarded of {lost}")
    packets = sum(path.read_bytes().count(MAGIC) for path in folder.iterdir() if path.name != "metadata")
    if set(states) != {"tid = 100", "tid = 101"} or sum(states.values()) != packets:
        problems.append(f"{packets} packets, and their states: {states}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--babeltrace", required=True)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("program", nargs="+")
    arguments = parser.parse_args()
    folder = arguments.out / "good"
    shutil.rmtree(arguments.out, ignore_errors=True)
    folder.mkdir(parents=True)
    said = subprocess.run([*arguments.program, folder], check=True, capture_output=True,
                          text=True).stdout.splitlines()
    # "[ ]" and "[  ]": how an empty chain is shown.
    written = collections.Counter(re.sub(r" +", " ", line) for line in said[:-1])
    lost = int(said[-1].split()[1])
    kinds = {line.split()[0] for line in written}
    if sum(written.values()) < 8000 or lost < 200 or kinds != KINDS:
        print(f"write_tracer wrote {sum(written.values())} events of {kinds} and lost {lost}")
        return 1
    problems = problems_of(arguments, folder, written, lost)
    for problem in problems[:10]:
        print(problem)
    failed = bool(problems)

    fewer = written - collections.Counter([next(iter(written))])
    damaged = arguments.out / "damaged"
    shutil.copytree(folder, damaged)
    stream = damaged / "kernel_0"
    text = stream.read_bytes()
    at = text.index(b"idle\0")
    stream.write_bytes(text[:at] + b"I" + text[at + 1:])
    for name, noticed in [("an event that nobody wrote", problems_of(arguments, folder, fewer, lost)),
                          ("another loss", problems_of(arguments, folder, written, lost + 1)),
                          ("a letter", problems_of(arguments, damaged, written, lost))]:
        print(f"control, {name}: {noticed[0] if noticed else 'not noticed'}")
        failed |= not noticed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
