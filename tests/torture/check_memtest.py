#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""memtest86+ has an IDT of its own, and takes an NMI for an error: wherever one comes, it says so and waits for a key. So under
`nmisafe torture` every boundary of its keyboard's poll must be a hang, and none a reset, a crash or the same.

    check_memtest.py TOOL IMAGES OUT

It has no symbols: what is known by address is known of one version. Ends with 77 where there is another one, or none.
"""

import json
import pathlib
import subprocess
import sys

VERSION = "memtest86+_6.10-4_amd64"
IMAGE, POLL, BOUNDARIES = "memtest-x64", "0x1035e1", 17  # get_key(), and how long it is without a key
# No third cache: its benchmark would take minutes. Time goes fast, for it waits for a key at first.
MACHINE = ["--", "-m", "16", "-cpu", "qemu64,l3-cache=off", "-icount", "shift=7,sleep=off"]
SKIPPED = 77


def sweep(tool, image, out):
    done = subprocess.run([tool, "torture", "--path", POLL, "--nth", "20", "--limit", "20000", "--append", "nosmp",
                           "--out", out, image, *MACHINE], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    report = out / "report.json"
    return done, json.loads(report.read_text())["sweeps"][0] if report.exists() else {}


def main():
    tool, images, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    listed = images / "versions.json"
    versions = json.loads(listed.read_text()) if listed.exists() else {}
    if versions.get(IMAGE) != VERSION:
        print(f"skipped: {IMAGE} is {versions.get(IMAGE, 'not fetched (debian_guests.py)')}, and not {VERSION}")
        return SKIPPED
    done, swept = sweep(tool, images / IMAGE, out)
    print(done.stdout[:400])
    confirmed = [one for one in swept.get("anomalies", []) if one["confirmed"]]
    if done.returncode != 1 or swept["verdicts"] != {"hang": BOUNDARIES} or len(confirmed) != BOUNDARIES:
        print(f"ended with {done.returncode}, {swept.get('verdicts')}, {len(confirmed)} of them twice; {BOUNDARIES} hangs wanted")
        return 1
    return 0


sys.exit(main())
