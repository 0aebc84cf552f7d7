#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fetches Debian's kernels that are swept as guests: their packages by apt, their boot files out of them.

    debian_guests.py OUT [NAME...]

Nothing is installed, and the machine's own package lists stay as they are: apt has lists of its own here, of the one release
that has kernels for both widths, from the mirror that this machine's apt uses. OUT/NAME is a boot file, OUT/versions.json
says of which packages. Ends with 77 and one line where there is no apt, or no mirror that has the release.
"""

import fcntl
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile

RELEASE = "bookworm"
ARCHITECTURES = ("amd64", "i386")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# name: package or the meta-package that depends on it, its architecture, the boot file's pattern
GUESTS = {
    "linux-amd64": ("linux-image-amd64", "amd64", "boot/vmlinuz-*"),
    "linux-686": ("linux-image-686", "i386", "boot/vmlinuz-*"),
    "memtest-x64": ("memtest86+", "amd64", "boot/memtest86+x64.bin"),
    "memtest-ia32": ("memtest86+", "amd64", "boot/memtest86+ia32.bin"),
    "xen": ("xen-hypervisor-4.17-amd64", "amd64", "boot/xen-*.gz"),
}
SKIPPED = 77


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def mirrors():
    """The places from which apt takes Debian's packages, but those of corrections alone."""
    try:
        listed = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)",
                                 "Created-By: Packages"], text=True, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        skip("there is no apt")
    found = [line.split() for line in listed.splitlines()]
    return sorted({words[2] for words in found if words[0] == "Debian" and not re.search("security|-", words[1])})


class Apt:
    """apt-get and apt-cache with lists of their own."""

    def __init__(self, folder, mirror):
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {RELEASE} main\n")
        words = " ".join(f'"{name}";' for name in ARCHITECTURES)
        (folder / "apt.conf").write_text(
            f'Dir::State::lists "{folder}/lists";\nDir::State::status "{folder}/status";\n'
            f'Dir::Cache "{folder}";\nDir::Etc::sourcelist "{folder}/sources.list";\n'
            f'Dir::Etc::sourceparts "/dev/null";\nAPT::Architecture "{ARCHITECTURES[0]}";\n'
            f'APT::Architectures {{ {words} }};\nAPT::Sandbox::User "root";\nAcquire::Languages "none";\n')
        self.folder = folder

    def run(self, *command, cwd=None):
        return subprocess.run(["env", f"APT_CONFIG={self.folder}/apt.conf", *command], cwd=cwd, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def newest(self, package, architecture):
        """The package itself, or what a meta-package depends on."""
        told = self.run("apt-cache", "depends", f"{package}:{architecture}").stdout
        image = re.search(r"Depends: (linux-image-[\w.-]+)", told)
        return f"{image.group(1) if image else package}:{architecture}"


def take(apt, name, out):
    """Downloads the guest's package, and takes the boot file out of it. Its name with its version."""
    package, architecture, pattern = GUESTS[name]
    with tempfile.TemporaryDirectory(dir=out) as text:
        folder = pathlib.Path(text)
        done = apt.run("apt-get", "download", apt.newest(package, architecture), cwd=folder)
        archives = list(folder.glob("*.deb"))
        if len(archives) != 1:
            raise RuntimeError(f"{package}:{architecture}: {done.stdout.strip()}")
        subprocess.run(f"dpkg-deb --fsys-tarfile {archives[0].name} | tar -x --wildcards './{pattern}'", shell=True,
                       cwd=folder, check=True)
        found = [path for path in folder.glob(pattern) if path.is_file()]
        if len(found) != 1:
            raise RuntimeError(f"{archives[0].name}: {len(found)} files as {pattern}")
        version = archives[0].name.removesuffix(".deb").replace("%3a", ":")
        print(f"{name}: {found[0].name} of {version}")
        content = found[0].read_bytes()
        if content.startswith(b"\x1f\x8b"):  # Xen's: boot loaders unpack it
            found[0].write_bytes(gzip.decompress(content))
        found[0].rename(out / name)
    return version


def main():
    out = pathlib.Path(sys.argv[1]).resolve()
    names = sys.argv[2:] or list(GUESTS)
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two tests that want the same
        missing = [name for name in names if not (out / name).exists()]
        if not missing:
            return 0
        listed = out / "versions.json"
        versions = json.loads(listed.read_text()) if listed.exists() else {}
        for mirror in mirrors():
            apt = Apt(out / "apt", mirror)
            done = apt.run("apt-get", "update")
            if done.returncode == 0:
                break
        else:
            skip(f"no mirror of apt's has Debian {RELEASE}")
        for name in missing:
            versions[name] = take(apt, name, out)
            listed.write_text(json.dumps(versions, indent=2) + "\n")
    return 0


sys.exit(main())
