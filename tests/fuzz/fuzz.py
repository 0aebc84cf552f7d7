#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a libFuzzer program on the corpus of the repository, and judges what it says.

clean:    replays the corpus, then fuzzes for --runs executions: nothing may be found.
control:  the same with a program from which a check has been taken out: something must be found,
          within --runs executions.
campaign: as clean, for --minutes; new inputs are kept in --new, for `fuzz.py merge`.
merge:    makes the corpus anew from itself and --new: the fewest and smallest inputs with the same
          coverage. Inputs made by hand stay: those that have a name instead of a hash.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

MAXIMUM_INPUT = 16384
HASH = re.compile(r"[0-9a-f]{40}")
FINDING = re.compile(r"ERROR: (?:AddressSanitizer|libFuzzer|invariant broken)[^\n]*|"
                     r"[^\n]*runtime error[^\n]*")


def give_up(message):
    print(f"fuzz.py: {message}", file=sys.stderr)
    sys.exit(1)


def run(options, arguments, timeout):
    command = [options.program, f"-max_len={MAXIMUM_INPUT}", "-timeout=10", "-rss_limit_mb=2048",
               "-print_final_stats=1", f"-seed={options.seed}", *arguments]
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        give_up(f"no end after {timeout} seconds")


def executions(output):
    """Of a run that came to its end; else how far it says it was."""
    found = re.search(r"stat::number_of_executed_units: (\d+)", output)
    lines = re.findall(r"^#(\d+)\t", output, re.MULTILINE)
    return int(found[1]) if found else int(lines[-1]) if lines else 0


def corpus_size(options):
    inputs = [path for path in options.corpus.iterdir() if path.is_file()]
    if len(inputs) < options.least:
        give_up(f"{options.corpus} has {len(inputs)} inputs, fewer than {options.least}")
    return len(inputs)


def judge(options, limits, timeout):
    inputs = corpus_size(options)
    with tempfile.TemporaryDirectory() as scratch:
        new = options.new or pathlib.Path(scratch)
        new.mkdir(parents=True, exist_ok=True)
        artifacts = options.artifacts or pathlib.Path(scratch)
        artifacts.mkdir(parents=True, exist_ok=True)
        done = run(options, [*limits, f"-artifact_prefix={artifacts}/", str(new),
                             str(options.corpus)], timeout)
    finding = FINDING.search(done.stdout)
    print(f"corpus {inputs}, executions {executions(done.stdout)}, "
          f"exit code {done.returncode}, finding: {finding[0].strip() if finding else 'none'}")
    return done, finding


def clean(options, limits, timeout):
    done, finding = judge(options, limits, timeout)
    if done.returncode != 0 or finding:
        print(done.stdout[-8000:])
        give_up("something was found")
    ended = re.search(r"^Done \d+ runs", done.stdout, re.MULTILINE)
    if not ended or executions(done.stdout) < max(options.runs, corpus_size(options)):
        print(done.stdout[-2000:])
        give_up("the fuzzer has not run to its end")


def control(options):
    done, finding = judge(options, [f"-runs={options.runs}"], options.seconds)
    if done.returncode in (0, 2) or not finding:
        print(done.stdout[-2000:])
        give_up("nothing was found, although a check is missing")


def merge(options):
    with tempfile.TemporaryDirectory() as scratch:
        merged = pathlib.Path(scratch) / "merged"
        merged.mkdir()
        done = run(options, ["-set_cover_merge=1", "-use_counters=0", str(merged),
                             str(options.corpus), str(options.new)], 3600)
        inputs = sorted(merged.iterdir())
        if done.returncode != 0 or len(inputs) < options.least:
            print(done.stdout[-8000:])
            give_up("the merge failed")
        made_by_hand = set()
        for path in options.corpus.iterdir():
            if HASH.fullmatch(path.name):
                path.unlink()
            else:
                made_by_hand.add(path.read_bytes())
        for path in inputs:
            if path.read_bytes() not in made_by_hand:
                (options.corpus / path.name).write_bytes(path.read_bytes())
    size = sum(path.stat().st_size for path in options.corpus.iterdir())
    print(f"corpus {corpus_size(options)} inputs, {size} bytes")


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["clean", "control", "campaign", "merge"])
    arguments.add_argument("program")
    arguments.add_argument("corpus", type=pathlib.Path)
    arguments.add_argument("--runs", type=int, default=0)
    arguments.add_argument("--minutes", type=float, default=20)
    arguments.add_argument("--seconds", type=float, default=300, help="for clean and control")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--least", type=int, default=50, help="inputs the corpus must have")
    arguments.add_argument("--new", type=pathlib.Path, help="folder of inputs newly found")
    arguments.add_argument("--artifacts", type=pathlib.Path, help="folder of inputs that fail")
    options = arguments.parse_args()
    if options.what == "clean":
        clean(options, [f"-runs={options.runs}"], options.seconds)
    elif options.what == "control":
        control(options)
    elif options.what == "campaign":
        seconds = int(options.minutes * 60)
        clean(options, [f"-max_total_time={seconds}"], seconds + 120)
    else:
        if not options.new:
            give_up("merge needs --new")
        merge(options)


if __name__ == "__main__":
    main()
