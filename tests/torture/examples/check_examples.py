#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sweeps an example's paths with `nmisafe torture`, as its README says: every boundary must be the same. Of the control, whose
traps return by IRET, an NMI at each of the first boundaries of an NMI must be found to have entered while that was open.

    check_examples.py TOOL FOLDER COMPILER OUT BREAKPOINT LEAST [VARIABLE=VALUE...]

BREAKPOINT: the path of the breakpoint. LEAST: how many boundaries an NMI's path has at least.
"""

import json
import pathlib
import shutil
import subprocess
import sys

MACHINE = ["--", "-cpu", "max", "-m", "1024"]
OF_THE_CONTROL = 3  # boundaries


def build(folder, compiler, out, settings):
    """Both kernels: the example, and its control."""
    compilers = [f"CXX={compiler}", f"CC={compiler.replace('g++', 'gcc')}"]
    kernels = []
    for control in ([], ["WITHOUT=1"]):
        subprocess.run(["make", "-s", "-C", folder, f"BUILD={out}", *compilers, "FOREVER=1", *settings, *control], check=True)
        kernels += [path for path in sorted(out.glob("kernel*_forever")) if path not in kernels]
    return kernels


def torture(tool, out, kernel, paths, *more):
    words = [word for path in paths for word in ("--path", path)]
    done = subprocess.run([tool, "torture", *words, "--after", "going round", "--out", out, *more, kernel, *MACHINE],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    print(done.stdout[:2000])
    report = out / "report.json"
    return done.returncode, json.loads(report.read_text())["sweeps"] if report.exists() else []


def main():
    tool, folder, compiler, out, breakpoint_path, least, *settings = sys.argv[1:]
    out = pathlib.Path(out)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    kernel, control = build(folder, compiler, out, settings)
    status, sweeps = torture(tool, out / "report", kernel, [breakpoint_path, "page-fault", "nmi"])
    right = (status == 0 and len(sweeps) == 3 and sweeps[-1]["boundaries"] >= int(least)
             and all(sweep["verdicts"] == {"same": sweep["boundaries"]} for sweep in sweeps))
    if not right:
        print(f"ended with {status}; wanted: three paths, all the same, of the NMI's at least {least}")
        return 1
    status, sweeps = torture(tool, out / "control", control, ["nmi"], "--boundaries", f"0..{OF_THE_CONTROL - 1}")
    found = [one for one in sweeps[0]["anomalies"] if "1 of them while it was open" in one["why"]] if sweeps else []
    if status != 1 or len(found) != OF_THE_CONTROL:
        print(f"the control ended with {status}, {len(found)} of {OF_THE_CONTROL} boundaries found")
        return 1
    return 0


sys.exit(main())
