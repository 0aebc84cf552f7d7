#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A kernel that panics in the middle of an event, in an NMI: what is committed is got out, and nothing else.

The experiment crash-in-event says on its console what can be read; babeltrace2 reads what `nmisafe extract` has
made of the dead machine's memory, or what `record` has written when it died.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import check_record
from check_record import MACHINE, Monitor, Record, read_all, wait_for

SERIAL = re.compile(r"\bserial_event: \{[^}]*\bcpu_id = (\d+) \}.*\bserial = (\d+)")


def figures(console):
    """What the kernel has said: of CPU 0's serials, and of all events in the @panic line."""
    said = re.search(r"crash-in-event: open=(\d+) resumed=(\d+) dying=(\d+) recoverable=(\d+)", console)
    panic = re.search(r'@panic what="unexpected page fault.* events_generated=(\d+) events_written=(\d+) '
                      r"events_lost=(\d+)", console)
    if not said or not panic:
        raise AssertionError(console)
    return tuple(map(int, said.groups())), tuple(map(int, panic.groups()))


class Panic(Record):
    def events(self, folder):
        """Serials by CPU, the number of all events, and of those lost."""
        lines, lost, problems = read_all(folder)
        self.assertEqual(problems, [])
        serials = {}
        for line in lines:
            found = SERIAL.search(line)
            if found:
                serials.setdefault(int(found.group(1)), []).append(int(found.group(2)))
        return serials, len(lines), lost

    def check(self, folder, console, processors, overwrites):
        (hole, resumed, dying, recoverable), (generated, written, all_lost) = figures(console)
        serials, count, lost = self.events(folder)
        if not hole:
            expected = list(range(1, dying))
        else:
            expected = list(range(1, hole)) + (list(range(resumed, dying)) if resumed else [])
        self.assertEqual(serials[0], expected)
        if processors == 1:
            self.assertEqual(count, recoverable)
            self.assertEqual((lost, all_lost), (0, 0))
            self.assertEqual(generated - written, 2 if hole else 1)  # what is open
            return
        # The others were stopped wherever they were.
        for cpu in range(1, processors):
            mine = serials[cpu]
            self.assertEqual(mine, list(range(mine[0], mine[-1] + 1)))
            if not overwrites:
                self.assertEqual(mine[0], 1)
        if not overwrites:
            self.assertGreaterEqual(count + lost, written + all_lost - (0 if not hole else dying - hole + 20))
            self.assertLessEqual(count + lost, generated)

    def dead_machine(self, arch, mode, trace, processors):
        """Images of its memory, raw and as an ELF core, and its console."""
        folder = self.folder / "dead"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        machine = MACHINE[:MACHINE.index("-device")]  # which would end QEMU
        machine[machine.index("-smp") + 1] = str(processors)
        line = f"experiment=crash-in-event policy=near mode={mode} trace={trace}"
        program = "qemu-system-x86_64" if arch == "x86_64" else "qemu-system-i386"
        console = folder / "console"
        with open(console, "wb") as output:
            guest = subprocess.Popen(
                [program, *machine, "-kernel", str(pathlib.Path(self.images, f"nmisafe-{arch}.image")),
                 "-append", line, "-qmp", f"unix:{folder / 'monitor'},server=on,wait=off"], stdout=output)
        try:
            wait_for(lambda: re.search(rb"@panic.*\n", console.read_bytes()) or guest.poll() is not None)
            monitor = Monitor(folder / "monitor")
            # The kernel says so first, and then notes it in the descriptor: when its CPU has halted it has done both.
            cpu = int(re.search(rb"@panic.* cpu=(\d+)", console.read_bytes()).group(1))
            wait_for(lambda: "HLT=1" in monitor.ask("human-monitor-command", **{"command-line": "info registers",
                                                                               "cpu-index": cpu}))
            monitor.ask("stop")
            monitor.ask("pmemsave", val=0, size=64 << 20, filename=str(folder / "raw"))
            monitor.ask("dump-guest-memory", paging=False, protocol=f"file:{folder / 'core'}")
            monitor.close()
        finally:
            guest.kill()
            guest.wait()
        return folder, console.read_text(errors="replace")

    def check_extract(self, arch):
        for mode in ("event", "nested", "switch"):
            for trace, processors in (("on", 1), ("overwrite", 2), ("on", 4)):
                folder, console = self.dead_machine(arch, mode, trace, processors)
                for kind in ("raw", "core"):
                    with self.subTest(mode=mode, trace=trace, processors=processors, kind=kind):
                        done = subprocess.run([self.tool, "extract", "--replace", str(folder / kind), "--output",
                                               str(self.trace)], capture_output=True, text=True, timeout=100,
                                              check=False)
                        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                        self.assertIn("the machine: panicked", done.stdout)
                        self.assertRegex(done.stdout, r"left out: \d+ bytes behind events that were never completed")
                        self.check(self.trace, console, processors, trace == "overwrite")

    def check_record(self, arch):
        """The same by a recording, which is told to expect it, or is not."""
        for mode in ("event", "nested", "switch"):
            for trace, processors, options, status in (("overwrite", 1, ["--snapshot-on", "panic"], 0),
                                                       ("overwrite", 2, ["--snapshot-on", "panic"], 0),
                                                       ("on", 2, [], 1)):
                with self.subTest(mode=mode, trace=trace, processors=processors):
                    done = self.record("--replace", "--arch", arch, "--processors", str(processors), "--experiment",
                                       "crash-in-event", "--kernel-option", f"mode={mode}", "--kernel-option",
                                       f"trace={trace}", *options, status=status)
                    self.assertIn("the guest has panicked", done.stderr)
                    console = (self.trace / ".console.log").read_text(errors="replace")
                    self.check(self.trace, console, processors, trace == "overwrite")

    def test_extract_x86_64(self):
        self.check_extract("x86_64")

    def test_extract_x86_32(self):
        self.check_extract("x86_32")

    def test_snapshot_x86_64(self):
        self.check_record("x86_64")

    def test_snapshot_x86_32(self):
        self.check_record("x86_32")


if __name__ == "__main__":
    check_record.Record.tool, check_record.Record.images = sys.argv[1:3]
    unittest.main(argv=["check_panic", *(f"Panic.test_{one}" for one in sys.argv[3:])])
