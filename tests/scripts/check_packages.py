# SPDX-License-Identifier: MIT
"""Which packages scripts/setup.sh finds missing: not those whose program comes from elsewhere.

check_packages.py ROOT
"""
import subprocess
import sys

# bash is a program that is there; the packages are none that Debian has.
CASES = {
    "no-such-package=bash: why": "",
    "no-such-package=no-such-program: why": "no-such-package: why\n",
    "no-such-package: why": "no-such-package: why\n",
}

failed = 0
for wanted, missing in CASES.items():
    said = subprocess.run(["bash", "-c", f'program=x; source scripts/setup.sh; missing_packages "{wanted}"'],
                          cwd=sys.argv[1], text=True, stdout=subprocess.PIPE, check=False).stdout
    if said != missing:
        print(f"{wanted}: missing {said!r}, not {missing!r}")
        failed += 1
print(f"{len(CASES) - failed} passed, {failed} failed")
sys.exit(failed != 0)
