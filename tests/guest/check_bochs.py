#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots a kernel under Bochs and checks its rows.

Bochs cannot start a Multiboot image, nor pass a command line: bochs_loader.S does, out of an option ROM, and what it
has to know is appended to it here.

Bochs keeps rules that QEMU's software emulation does not: a fault pushes RF=1, and the STI and MOV SS
shadows hold off NMIs. It has no exit device: the console is read until @done or @panic.

A sweep (kernel/experiments/shared/sweep.hpp) needs an instruction to take longer than 50 ns: --ips below 20
millions. Where a row lists the instructions before which an NMI has come, it is looked up in the ELF file that none
was left out: behind one that leads nowhere else comes the next.
"""

import argparse
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

INSTRUCTIONS_A_SECOND = 50_000_000  # of the guest's, unless a sweep wants fewer
CONFIGURATION = """
config_interface: textconfig
display_library: sdl2
megs: 64
cpu: model={model}, count={cpus}, ips={ips}, reset_on_triple_fault=0
clock: sync=none
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
optromimage1: file=loader.rom, address=0xd0000
ata0-master: type=disk, mode=flat, path=disk, cylinders={cylinders}, heads=16, spt=63
boot: disk
sound: waveoutdrv=dummy
port_e9_hack: enabled=1
log: bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
"""


MULTIBOOT_MAGIC, MULTIBOOT_SEARCHED = 0x1BADB002, 8192
SECTOR, CHUNK, CYLINDER = 512, 64 * 512, 16 * 63 * 512  # CHUNK is what the loader reads at a time
MOST_TO_READ = 0x88000  # the loader has room from 0x10000 to below 0x9fc00, and reads whole chunks


def prepare(folder, image, loader, words, **settings):
    """Writes there what Bochs starts the image from, with these words as its command line: the loader, a disk with the
    image and nothing else, and bochsrc, which names both."""
    image, rom = pathlib.Path(image).read_bytes(), bytearray(pathlib.Path(loader).read_bytes())
    header = next(at for at in range(0, MULTIBOOT_SEARCHED, 4) if image[at:at + 4] == struct.pack("<I", MULTIBOOT_MAGIC))
    place, begin, end, zero_end, entry = struct.unpack_from("<5I", image, header + 12)
    if place - header != begin or not 0 < end - begin <= min(len(image), MOST_TO_READ):
        raise ValueError("no image that begins with its first byte and that the loader has room for")
    chunks = -(-(end - begin) // CHUNK)
    rom += struct.pack("<5I", chunks, begin, end - begin, zero_end - end, entry) + words.encode() + b"\0"
    sectors = len(rom) // SECTOR + 1
    rom = rom.ljust(sectors * SECTOR, b"\0")
    rom[2] = sectors
    rom[-1] = -sum(rom) & 0xFF
    cylinders = -(-chunks * CHUNK // CYLINDER)
    pathlib.Path(folder, "loader.rom").write_bytes(rom)
    pathlib.Path(folder, "disk").write_bytes(image[:end - begin].ljust(cylinders * CYLINDER, b"\0"))
    # Bochs runs in that folder, and the names in its configuration are short and plain.
    pathlib.Path(folder, "bochsrc").write_text(CONFIGURATION.format(cylinders=cylinders, **settings))


def run(boot, settings, log, limit, last=r"^@(done|panic).*\n"):
    """The console until it has that line, or the time is over."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder, *boot, **settings)
        pathlib.Path(folder, "bochs.log").symlink_to(pathlib.Path(log + ".bochs").resolve())
        # Debian's Bochs has its debugger built in, which waits for a first command.
        command = pathlib.Path(folder, "commands")
        command.write_text("c\n")
        with open(log, "wb") as output:
            process = subprocess.Popen(
                ["bochs", "-q", "-f", "bochsrc", "-rc", command.name], cwd=folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"})
            end = time.monotonic() + limit
            try:
                while process.poll() is None and time.monotonic() < end:
                    text = pathlib.Path(log).read_text(errors="replace")
                    if re.search(last, text, re.M):
                        break
                    time.sleep(0.05)
            finally:
                process.kill()
                process.wait()
    return pathlib.Path(log).read_text(errors="replace")


# Behind these another one may come next, or no NMI be let in.
TRANSFERS = re.compile(r"(bnd |notrack |rex\S* )*(j|call|l?ret|iret|sysret|sysexit|l?jmp|lcall|sti|hlt|ud2|int |"
                       r"mov\S* .*%ss$|pop +%ss)")
# The wait behind a sweep's window ends in its middle; one that an NMI has ended goes on elsewhere.
MOST_AT_THE_END = 2


def judge_coverage(console, elf):
    """Of each path the instructions that must have been interrupted, and were not."""
    seen = {}
    for path, addresses in re.findall(r"^@rips path=(\S+) list=(\S+)", console, re.M):
        seen.setdefault(path, set()).update(int(word, 16) for word in addresses.split(","))
    if not seen:
        return []
    listed = subprocess.run(["objdump", "-d", "--no-show-raw-insn", elf], capture_output=True, text=True, check=True)
    code = [(int(address, 16), text) for address, text in
            re.findall(r"^\s*([0-9a-f]+):\s+(.*)$", listed.stdout, re.M)]
    failures = []
    for path, addresses in seen.items():
        missed = [after for (before, text), (after, _) in zip(code, code[1:])
                  if before in addresses and after not in addresses and not TRANSFERS.match(text)]
        if len(missed) > MOST_AT_THE_END:
            some = " ".join(f"{address:#x}" for address in missed[:8])
            failures.append(f"{path}: {len(missed)} instructions not interrupted: {some}")
    return failures


def judge(console, expected, symptom):
    """The reasons why these rows do not show what they should."""
    if expected == "panic":
        panics = re.findall(r"^@panic .*", console, re.M)
        return [] if any(re.search(symptom, line) for line in panics) else [
            f"no @panic with {symptom}"]
    rows = [dict(re.findall(r"(\w+)=(\d+)", line))
            for line in console.splitlines() if line.startswith("@row")]
    failures = []
    if not re.search(r"^@done", console, re.M):
        failures.append("no @done")
    if not rows:
        failures.append("no @row")
    for row in rows:
        if expected == "control":
            if int(row.get(symptom, 0)) == 0:
                failures.append(f"the control did not show its symptom: {row}")
            continue
        if expected == "latched" and int(row.get("unsafe_irets", 0)) == 0:
            failures.append(f"no IRET unblocked NMIs in {row}")
        for harm in ("failures", "nested", "lost", "corrupted", "unsafe_irets"):
            if expected == "latched" and harm == "unsafe_irets":
                continue
            if int(row.get(harm, 1)) != 0:
                failures.append(f"{harm} in {row}")
    return failures


def main():
    parser = argparse.ArgumentParser()
    for option in ("image", "loader", "words", "log"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--elf", help="of the kernel")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--expected", choices=("safe", "latched", "control", "panic", "gaps"), default="safe",
                        help="gaps: a sweep that leaves out instructions")
    parser.add_argument("--symptom", default="nested", help="of a panic: an expression for its line")
    parser.add_argument("--model", default="corei7_sandy_bridge_2600k", help="one of Bochs's CPUs")
    parser.add_argument("--ips", type=int, default=INSTRUCTIONS_A_SECOND, help="instructions in a second of the guest's")
    parser.add_argument("--rows", action="store_true", help="show them")
    parser.add_argument("--limit", type=int, default=180, help="seconds")
    options = parser.parse_args()

    console = run((options.image, options.loader, options.words),
                  {"model": options.model, "cpus": options.cpus, "ips": options.ips}, options.log, options.limit)
    gaps = judge_coverage(console, options.elf) if options.elf else []
    if options.expected == "gaps":
        failures = [] if gaps else ["no instruction was left out"]
    else:
        failures = judge(console, options.expected, options.symptom)
        failures += gaps if options.expected in ("safe", "latched") else []
    if failures:
        print("\n".join(failures), file=sys.stderr)
    if failures or options.rows:
        shown = ("@row",) if options.rows else "@"
        print("\n".join(line for line in console.splitlines() if line.startswith(shown)), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
