# SPDX-License-Identifier: MIT
"""What babeltrace2 makes of a trace."""

import re
import subprocess

DISCARDED = re.compile(r"Tracer discarded (\d+) events? between")


def read(program, folder, *options):
    """Its lines, how many events it says were discarded, and all else that it says, which should be nothing."""
    run = subprocess.run([program, *options, folder], capture_output=True, text=True, timeout=300, check=False)
    problems = [f"babeltrace2 exits with {run.returncode}"] if run.returncode else []
    problems += [f"babeltrace2: {line}" for line in run.stderr.splitlines()
                 if line.strip() and not DISCARDED.search(line)]
    return run.stdout.splitlines(), sum(int(number) for number in DISCARDED.findall(run.stderr)), problems
