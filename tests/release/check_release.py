#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a share of ./run on another Debian release, in a chroot that is made once and kept.

The chroot is out/RELEASE; what is installed there ./run installs, from the mirror that this machine's
apt uses. Ends with 77 and one line where that cannot be done: not Debian, not root, no mirror.

    check_release.py ROOT
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

# The release here -> the other one that has to work.
OTHERS = {"bookworm": "trixie", "trixie": "bookworm"}
# One width under one policy: a plain experiment, and two for which QEMU logs each instruction, one of them at a speed
# that is the guest's own. What can be wrong here is the build and what the emulator's options are called.
SHARE = ["--arch", "x86_64", "--policy", "near", "--experiment", "breakpoint-in-nmi",
         "--experiment", "kprobe-sweep", "--experiment", "costs"]
# Whoever has such names has to be able to build too.
FOLDER = "sources, 100%"
SKIPPED = 77
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# A command's mounts and processes are gone when it is, and it when this program is.
CONTAINED = ["setpriv", "--pdeathsig", "KILL",
             "unshare", "--mount", "--pid", "--fork", "--kill-child"]
NOT_COPIED = {".git", "build", "out"}


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def output_of(*command):
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True).stdout


def release_here():
    found = re.search(r"^VERSION_CODENAME=(\w+)$", pathlib.Path("/etc/os-release").read_text(), re.M)
    return found.group(1) if found else ""


def mirrors(release):
    """The places from which apt takes this release's packages."""
    listed = output_of("apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)",
                       "Created-By: Packages")
    return [line.split()[2] for line in listed.splitlines()
            if line.split()[:2] == ["Debian", release]]


def has(mirror, release, folder):
    """Asked through apt, which knows of proxies."""
    return subprocess.run(["/usr/lib/apt/apt-helper", "download-file",
                           f"{mirror}dists/{release}/Release", str(folder / "Release")],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def make(chroot, release, mirror):
    """Whole or not at all."""
    unfinished = chroot.with_name(chroot.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    print(f"making {chroot}", flush=True)
    subprocess.run([*CONTAINED, "debootstrap", "--variant=minbase", f"--keyring={KEYRING}", release,
                    str(unfinished), mirror], check=True)
    # It need not survive a loss of power.
    (unfinished / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
    # How this machine's apt reaches its mirror.
    settings = [line for line in output_of("apt-config", "dump").splitlines()
                if re.match(r"Acquire::(Check-|https?::)", line)]
    (unfinished / "etc/apt/apt.conf.d/00this-machine").write_text(
        "\n".join(settings + ['Acquire::Languages "none";', ""]))
    unfinished.rename(chroot)


def copy_tree(root, place):
    """All but what is built, which stays from the last time."""
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        if old.name in NOT_COPIED:
            continue
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()
    shutil.copytree(root, place, dirs_exist_ok=True, symlinks=True,
                    ignore=lambda folder, names:
                    NOT_COPIED if pathlib.Path(folder) == root else {"__pycache__"})


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    here = release_here()
    if here not in OTHERS:
        skip(f"no other release is known for {here or 'what runs here'}")
    release = OTHERS[here]
    if os.geteuid() != 0:
        skip(f"{release} needs root, for a chroot")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"],
                      stderr=subprocess.DEVNULL, check=False).returncode != 0:
        skip(f"{release} needs a mount namespace")
    chroot = root / "out" / release
    chroot.parent.mkdir(exist_ok=True)
    if not chroot.exists():
        mirror = next((m for m in mirrors(here) if has(m, release, chroot.parent)), None)
        if mirror is None:
            skip(f"no mirror of {release} is known to apt (apt-get update may help)")
        make(chroot, release, mirror)
    for name in ("resolv.conf", "hosts"):
        shutil.copy(pathlib.Path("/etc") / name, chroot / "etc" / name)
    copy_tree(root, chroot / FOLDER)
    into = 'mount -t proc none "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
    done = subprocess.run(
        [*CONTAINED, "sh", "-c", into, str(chroot), "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
         "HOME=/root", f"/{FOLDER}/run", *SHARE],
        check=False)
    return done.returncode


sys.exit(main())
