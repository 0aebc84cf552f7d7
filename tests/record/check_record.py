#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`nmisafe record` and `extract` of the reference kernel: nothing missing, nothing uncounted.

The kernel says how many events it has generated; babeltrace2 reads what the tool has written. A guest that
dies, has no trace, or whose trace nobody takes for a while is one of the cases.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import babeltrace  # noqa: E402
from kernel_events import fields_of_events, fields_wanted  # noqa: E402

MACHINE = ["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "64", "-smp", "2", "-nodefaults",
           "-display", "none", "-no-reboot", "-debugcon", "stdio", "-device",
           "isa-debug-exit,iobase=0xf4,iosize=0x4"]


def read_all(folder):
    """Lines of events but for packet_state, which the tracer writes of itself; events discarded; and problems."""
    lines, lost, problems = babeltrace.read("babeltrace2", folder, "--clock-cycles", "--no-delta")
    return [line for line in lines if " packet_state: " not in line], lost, problems


def read(folder):
    """The same of a trace that has lost nothing: if it has, that is a problem."""
    lines, lost, problems = read_all(folder)
    return lines, problems + ([f"{lost} events discarded"] if lost else [])


def generated(folder):
    return int(re.search(r"@row .*generated=(\d+)", (folder / ".console.log").read_text()).group(1))


def samples(folder):
    """How many the kernel says it has taken."""
    return int(re.search(r"^profile: (\d+) samples", (folder / ".console.log").read_text(), re.M).group(1))


def cut_last_packet(folder):
    stream = max(folder.glob("kernel_*"), key=lambda one: one.stat().st_size)
    data = stream.read_bytes()
    stream.write_bytes(data[:data.rindex(data[:20])])  # CTF's magic and UUID


def packets_of(stream):
    """Where each begins: with CTF's magic and the UUID."""
    data = stream.read_bytes()
    return data, [found.start() for found in re.finditer(re.escape(data[:20]), data)]


def cut_middle_packet(folder):
    stream = max(folder.glob("kernel_*"), key=lambda one: one.stat().st_size)
    data, begins = packets_of(stream)
    middle = len(begins) // 2
    stream.write_bytes(data[:begins[middle]] + data[begins[middle + 1]:])
    return stream.name


def is_piece(lines, whole):
    """Whether all of them follow each other there too."""
    begin = whole.index(lines[0])
    return lines == whole[begin:begin + len(lines)]


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


class Monitor:
    """QEMU's, by QMP."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            if "return" in answer:
                return answer["return"]

    def close(self):
        self.file.close()
        self.socket.close()


class Record(unittest.TestCase):
    tool = images = ""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nmisafe-record-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.trace = self.folder / "trace"

    def command(self, options):
        images = [] if "--images" in options else ["--images", self.images]
        return [self.tool, "record", *images, "--output", str(self.trace), *options]

    def record(self, *options, status=0):
        done = subprocess.run(self.command(options), capture_output=True, text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def start(self, *options):
        started = subprocess.Popen(self.command(options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(started.stdout.close)
        self.addCleanup(started.stderr.close)
        self.addCleanup(started.wait)
        self.addCleanup(started.kill)
        wait_for(lambda: (self.trace / ".console.log").exists() or started.poll() is not None)
        return started

    def has_bytes(self):
        return sum(one.stat().st_size for one in self.trace.glob("kernel_*")) > 100_000

    def reference(self, arch, line):
        return [*MACHINE, "-kernel", str(pathlib.Path(self.images, f"nmisafe-{arch}.image")), "-append", line]

    def check_exact(self, arch):
        named = []
        for processors in (1, 2, 4):
            for mode in ("on", "overwrite"):
                with self.subTest(processors=processors, mode=mode):
                    # A recorder that the host lets wait too long finds events overwritten, as that mode has it; and
                    # in the other it finds them counted.
                    for _ in range(4 if mode == "overwrite" else 1):
                        self.record("--replace", "--arch", arch, "--processors", str(processors),
                                    "--kernel-option", f"trace={mode}")
                        lines, lost, problems = read_all(self.trace)
                        self.assertEqual(problems, [])
                        if len(lines) + lost == generated(self.trace):
                            break
                    self.assertEqual(len(lines) + lost, generated(self.trace))
                    self.assertGreater(len(lines), 1000)
                    if not lost:
                        self.assertEqual(sum(" sample: " in line for line in lines), samples(self.trace))
                    older, _, problems = babeltrace.read("babeltrace", self.trace)
                    self.assertEqual((sum(" packet_state: " not in line for line in older), problems),
                                     (len(lines), []))
                    named += lines
        self.assertEqual(fields_of_events(named), fields_wanted(arch))
        self.assertIn('domain = "kernel";', (self.trace / "metadata").read_text())
        # A control: it is seen when a packet is missing.
        cut_last_packet(self.trace)
        self.assertLess(len(read(self.trace)[0]), generated(self.trace))

    def test_exact_x86_64(self):
        self.check_exact("x86_64")

    def test_exact_x86_32(self):
        self.check_exact("x86_32")

    def test_losses(self):
        """Nobody takes packets for a while: what is lost is counted, to the event."""
        recording = self.start("--kernel-option", "duration=4000")
        wait_for(self.has_bytes)
        recording.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        recording.send_signal(signal.SIGCONT)
        errors = recording.communicate(timeout=300)[1]
        self.assertEqual(recording.returncode, 0, errors)
        lines, lost, problems = read_all(self.trace)
        self.assertEqual(problems, [])
        self.assertGreater(lost, 0)
        self.assertEqual(len(lines) + lost, generated(self.trace))
        self.assertIn(f" {lost} lost (full ", errors)

    def test_duration(self):
        done = self.record("--duration", "2", "--kernel-option", "duration=0")
        self.assertRegex(done.stderr, r"(?m)^\d\.\d s: \d{2,} events, \d+ a second, ")  # while it runs
        lines, _, problems = read_all(self.trace)
        self.assertEqual(problems, [])
        self.assertGreater(len(lines), 1000)

    def test_example(self):
        """One command from nothing to a timeline; and what is no trace gets no page."""
        done = self.record("--example")
        page = pathlib.Path(f"{self.trace}.html")
        self.assertIn(f"timeline: file://{page}\n", done.stdout)
        text = page.read_text()
        for name in ("sched_switch", "irq_handler_entry", "page_fault_kernel", "nmi_entry"):
            self.assertIn(name, text)
        self.assertEqual(read(self.trace)[1], [])
        # A desktop that writes down what it was asked for; and none.
        programs = self.folder / "bin"
        programs.mkdir()
        opener = programs / "xdg-open"
        opener.write_text(f'#!/bin/sh\necho "$1" > {self.folder}/opened\n')
        opener.chmod(0o755)
        with unittest.mock.patch.dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}"):
            self.record("--replace", "--open")
            self.assertEqual((self.folder / "opened").read_text(), f"{page}\n")
            opener.write_text("#!/bin/sh\nexit 3\n")
            self.assertIn("xdg-open cannot show", self.record("--replace", "--open", status=2).stderr)
        page.unlink()
        self.check_profile()
        done = self.record("--page", str(page), "--", *self.reference("x86_64", "experiment=hello"), status=2)
        self.assertFalse(page.exists(), done.stderr)

    def check_profile(self):
        """Threads, tasks, handlers of interrupts and code with interrupts off, each with those who had called it."""
        done = subprocess.run([self.tool, "convert", str(self.trace), "--to", "folded"], capture_output=True,
                              text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        stacks = [re.sub(r"\(.*?\)|kernel::|\[clone .*?\]", "", line) for line in done.stdout.splitlines()]
        for calls in (r"run_worker.*;.*work_on", r"work_with_interrupts_off.*;.*work_on",
                      r"on_work_interrupt.*;.*work_on|handle_work.*;.*work_on",
                      r"^example_task;example_task_compute;example_task_inner_loop",
                      r"^spin_with_frame_pointer \d+$"):
            with self.subTest(calls=calls):
                self.assertTrue(any(re.search(calls, stack) for stack in stacks), "\n".join(stacks))

    def test_no_trace(self):
        done = self.record("--", *self.reference("x86_64", "experiment=hello policy=near"), status=2)
        self.assertIn("the guest has ended (status 33) without a trace in its memory", done.stderr)
        done = self.record("--timeout", "2", "--", *self.reference("x86_64", "experiment=hello"), "-S", status=2)
        self.assertIn("no trace in the guest's memory after 2 seconds", done.stderr)
        self.assertFalse(self.trace.exists())

    def test_refused(self):
        for options, what in ((["--processors", "99"], "not in range 1 to 8"),
                              (["--duration", "0"], "--duration"),
                              (["--kernel-option", "x"], "not of the form"),
                              (["--qemu", "nothing-of-this-name"], "not installed"),
                              (["--images", str(self.folder)], "there is no image"),
                              (["--", "-m", "0"], "no size of RAM")):
            with self.subTest(options=options):
                self.assertIn(what, self.record(*options, status=2).stderr)
        self.trace.mkdir()
        (self.trace / "letter").write_text("not a trace\n")
        for options in ([], ["--replace"]):  # what is replaced is a trace, nothing else
            self.assertIn("it exists, and is not empty", self.record(*options, status=2).stderr)
        self.assertTrue((self.trace / "letter").exists())

    def test_two_at_once(self):
        """The second does not take away the first's files."""
        recording = self.start("--kernel-option", "duration=0")
        wait_for(self.has_bytes)
        done = self.record("--replace", status=2)
        self.assertIn("it is being written by another process", done.stderr)
        self.assertIsNone(recording.poll())
        recording.send_signal(signal.SIGINT)
        errors = recording.communicate(timeout=100)[1]
        self.assertEqual(recording.returncode, 130, errors)
        self.assertEqual(read(self.trace)[1], [])
        self.record("--replace")

    def test_guest_dies(self):
        recording = self.start("--kernel-option", "duration=0")
        wait_for(self.has_bytes)
        children = pathlib.Path(f"/proc/{recording.pid}/task/{recording.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        errors = recording.communicate(timeout=100)[1]
        self.assertEqual(recording.returncode, 1, errors)
        self.assertIn("the guest has died (signal 9)", errors)
        lines, warnings = read(self.trace)
        self.assertEqual(warnings, [])
        self.assertGreater(len(lines), 1000)

    def test_no_panic(self):
        """What was to be recorded on a panic is kept, and said to be of none."""
        done = self.record("--snapshot-on", "panic", status=1)
        self.assertIn("the guest has ended without a panic", done.stderr)
        self.assertEqual(read(self.trace)[1], [])

    def check_modules(self, arch):
        """Faults in a module's code, which comes and goes: their addresses have names, files and lines, as long as
        the trace says what code was where."""
        self.record("--arch", arch, "--experiment", "module-in-nmi", "--kernel-option", "reloads=100",
                    "--processors", "4")
        self.assertEqual(read_all(self.trace)[2], [])
        sidecar = self.trace / ".nmisafe.json"
        about = json.loads(sidecar.read_text())
        code = [one for one in about["images"] if one["file"] == "nmi_probe" and one["section"] == ".text"]
        # More than the guest's table has places for, with which it goes on as if each were the first.
        self.assertGreater(len(code), 64)
        self.assertEqual([one for one in code if not one["loaded"] < one["unloaded"]], [])

        def in_module():
            text = self.convert("text")
            frames = json.loads(self.convert("speedscope"))["shared"]["frames"]
            faults = [line for line in text.splitlines() if " page_fault_kernel: " in line]
            place = re.compile(r"ip=0x[0-9a-f]+ <.*on_kernel_mark.*\+0x\w+ at nmi_probe.cpp:\d+>")
            named = [line for line in faults if place.search(line)]
            return named, [one for one in frames if str(one.get("file")).endswith("loaded/nmi_probe.cpp")]

        named, frames = in_module()
        self.assertGreater(len(named), 10)
        source = pathlib.Path(__file__).resolve().parents[2] / "kernel/modules/loaded/nmi_probe.cpp"
        lines = source.read_text().splitlines()
        self.assertNotEqual(frames, [])
        for frame in frames:
            self.assertTrue(0 < frame["line"] <= len(lines) and lines[frame["line"] - 1].strip(), frame)
        # A control: without the images there is no name.
        about["images"] = [one for one in about["images"] if one["file"] == "kernel"]
        sidecar.write_text(json.dumps(about))
        self.assertEqual(in_module(), ([], []))

    def convert(self, kind):
        to = self.folder / kind
        done = subprocess.run([self.tool, "convert", str(self.trace), "--to", kind, "-o", str(to)], capture_output=True,
                              text=True, timeout=100, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return to.read_text()

    def test_modules_x86_64(self):
        self.check_modules("x86_64")

    def test_modules_x86_32(self):
        self.check_modules("x86_32")

    def streams(self, folder, with_gaps=()):
        """Lines of each stream's events."""
        for stream in sorted(one.name for one in folder.glob("[a-z]*_[0-9]")):
            alone = self.folder / "alone"
            alone.mkdir()
            for name in ("metadata", stream):
                (alone / name).symlink_to(folder / name)
            lines, errors = read(alone)
            shutil.rmtree(alone)
            if stream not in with_gaps:
                self.assertEqual(errors, [])
            yield stream, lines

    def check_extract(self, arch):
        """Images of a guest that was stopped somewhere, and went on: of each buffer they have what the recording has
        of that time, without a hole, up to where the writers were."""
        path = self.folder / "monitor"
        recording = self.start("--arch", arch, "--", *self.reference(
            arch, "experiment=trace-example policy=near trace=overwrite duration=0"),
            "-qmp", f"unix:{path},server=on,wait=off")
        wait_for(self.has_bytes)
        monitor = Monitor(path)
        monitor.ask("stop")
        monitor.ask("pmemsave", val=0, size=64 << 20, filename=str(self.folder / "raw"))
        monitor.ask("dump-guest-memory", paging=False, protocol=f"file:{self.folder / 'core'}")
        monitor.ask("cont")
        monitor.close()
        time.sleep(1)
        recording.send_signal(signal.SIGINT)
        errors = recording.communicate(timeout=100)[1]
        self.assertEqual(recording.returncode, 130, errors)
        whole = dict(self.streams(self.trace))
        for kind in ("raw", "core"):
            to = self.folder / f"{kind}-trace"
            done = subprocess.run([self.tool, "extract", str(self.folder / kind), "--output", str(to)],
                                  capture_output=True, text=True, timeout=100, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("the machine: running", done.stdout)
            left_out = re.search(r"left out: (\d+) bytes", done.stdout)
            self.assertLess(int(left_out.group(1)) if left_out else 0, 2000)
            for stream, lines in self.streams(to):
                if not lines:
                    continue
                with self.subTest(kind=kind, stream=stream):
                    self.assertTrue(is_piece(lines, whole[stream]))
                    if stream.startswith("kernel"):
                        self.assertGreater(len(lines), 500)
        # The same memory, the same trace.
        self.assertEqual(read(self.folder / "raw-trace"), read(self.folder / "core-trace"))
        # A control: a packet that is missing in the middle is noticed.
        stream = cut_middle_packet(self.folder / "raw-trace")
        self.assertFalse(is_piece(dict(self.streams(self.folder / "raw-trace", {stream}))[stream], whole[stream]))

    def test_extract_x86_64(self):
        self.check_extract("x86_64")

    def test_extract_x86_32(self):
        self.check_extract("x86_32")


if __name__ == "__main__":
    Record.tool, Record.images = sys.argv[1:3]
    unittest.main(argv=["check_record", *(f"Record.test_{one}" for one in sys.argv[3:])])
