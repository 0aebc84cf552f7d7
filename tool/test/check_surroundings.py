# SPDX-License-Identifier: MIT
"""`nmisafe run` where users really are: their options, folders, disks, locales and terminals.

check_surroundings.py TOOL CASE    one case, as a ctest test; without CASE all of them.
"""
import os
import pty
import re
import shutil
import signal
import subprocess
import time

from tool_case import ONE_ROW, SWEEP, ToolCase, main


class Surroundings(ToolCase):
    # --- what must be refused ---

    def test_bad_options(self):
        for options, message in (
                (["--arch", "vax"], "--arch: unknown value vax; known: x86_64, x86_32"),
                (["--experiment", "none"], "--experiment: unknown value none"),
                (["--policy", ""], "--policy: unknown value"),
                (["--policy"], "--policy"),
                (["--jobs", "0"], "--jobs"),
                (["--jobs", "many"], "--jobs"),
                (["--timeout", "0"], "--timeout"),
                (["--kernel-option", "toggles"], "toggles is not of the form name=value"),
                (["--kernel-option", "a=b,c=d"], "a=b,c=d is not of the form name=value"),
                ([*ONE_ROW, "--kernel-option", "policy=near"], "policy=near: each row has its own policy"),
                ([*ONE_ROW, "--kernel-option", "mode=trace"], "mode=trace: each row has its own mode"),
                (["--all", "--experiment", "crash-small-stack", "--kernel-option", "stack=2000"],
                 "stack=2000: each row has its own stack"),
                (["--unknown"], "--unknown"),
                (["extra"], "extra"),
                (["--experiment", "threads", "--policy", "iret"], "no experiment matches")):
            with self.subTest(options=options):
                self.check_refused(options, message)

    def test_no_command(self):
        done = subprocess.run([self.tool], text=True, capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_missing_image(self):
        self.run_tool("good", ONE_ROW)  # leaves a report that must not be taken for the next run's
        (self.folder / "commands").unlink()
        (self.images / "nmisafe-x86_64.image").unlink()
        self.check_refused(ONE_ROW, "there is no image .*/nmisafe-x86_64.image")

    def test_missing_emulator(self):
        self.check_refused(ONE_ROW, "qemu-system-x86_64 is not installed", PATH="/nowhere")

    def test_not_qemu(self):
        self.check_refused(ONE_ROW, "does not answer like QEMU", guest="not-qemu")

    def test_bad_out(self):
        self.out.write_text("a file where the folder should be\n")
        done = self.run_tool("good", ONE_ROW)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_list_and_help(self):
        done = self.run_tool("good", ["--list"])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("every-instruction", "far-nmi-count", "without gs", "crash-double-fault"):
            self.assertIn(word, done.stdout)
        done = self.run_tool("good", ["--help"])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for flag in re.findall(r"--[a-z-]+", "--arch --experiment --policy --list --jobs --all "
                                             "--images --out --keep-logs --timeout"):
            self.assertIn(flag, done.stdout)
        self.assertFalse((self.folder / "commands").exists())

    # --- two at once, and one that is ended ---

    def start_hanging(self):
        """The tool, waiting for a guest that hangs, and that guest's log."""
        tool = subprocess.Popen(self.command(ONE_ROW), env=self.environment("hang"),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        self.addCleanup(tool.communicate)
        self.addCleanup(tool.kill)
        log = self.out / "x86_64-page-fault-in-nmi-far.log"
        limit = time.monotonic() + 30
        while not (log.exists() and "sleep" in log.read_text()) and time.monotonic() < limit:
            time.sleep(0.05)
        return tool, log

    def test_interrupt(self):
        """Ctrl-C ends the guests and what they started, keeps the logs and leaves no report."""
        tool, log = self.start_hanging()
        tool.send_signal(signal.SIGINT)
        _, error = tool.communicate(timeout=30)
        self.assertEqual(tool.returncode, 130)
        self.assertIn("interrupted, no report", error)
        self.assertFalse((self.out / "report.json").exists())
        self.assertIn("going to sleep", log.read_text())
        (group,) = re.findall(r"^group ([0-9]+)$", log.read_text(), re.M)
        limit = time.monotonic() + 30
        while time.monotonic() < limit: # until init has seen them die
            try:
                os.killpg(int(group), 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
        self.fail("the guest is still there")

    def test_two_at_once(self):
        tool, log = self.start_hanging()
        done = self.run_tool("good", ONE_ROW)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, rf"^nmisafe: {self.out} is in use by another run "
                                      rf"\(process {tool.pid}\)[^\n]*\n$")
        self.assertIn("going to sleep", log.read_text())
        tool.kill()
        tool.wait()
        self.assertEqual(self.run_tool("good", ONE_ROW).returncode, 0)

    # --- names of folders ---

    def test_odd_folders(self):
        """Each is part of what QEMU reads in its own way: commas, % and spaces."""
        for number, name in enumerate(("a b", "a,b", "a%b%d", "a;b'c\"d\\e$f", "\u00e4", "-D")):
            with self.subTest(name=name):
                folder = self.folder / str(number) / name
                folder.parent.mkdir()
                folder.mkdir()
                self.images = self.images.rename(folder / "images")
                self.out = folder / "out"
                done = self.run_tool("sweep", SWEEP)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertTrue((self.out / "x86_64-every-instruction-far-trace.log").exists())

    def test_relative_folders(self):
        for options in (["--images", "images", "--out", "out"], ["--images", ".", "--out", "."]):
            with self.subTest(options=options):
                done = subprocess.run([self.tool, "run", *options, *SWEEP], text=True,
                                      cwd=self.images if "." in options else self.folder,
                                      env=self.environment("sweep"), capture_output=True, timeout=110)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_long_folders(self):
        """Of 600 characters, which is more than the kernel's command line takes."""
        folder = self.folder.joinpath(*["x" * 100] * 6)
        folder.mkdir(parents=True)
        self.images = self.images.rename(folder / "images")
        self.out = folder / "out"
        done = self.run_tool("sweep", SWEEP)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("xxx", self.commands())

    def test_too_long_folders(self):
        self.out = self.out / ("x" * 300)
        self.check_cannot_write("File name too long")
        self.out = self.folder.joinpath(*["x" * 100] * 50)
        self.check_cannot_write("File name too long")

    # --- what cannot be written ---

    def check_cannot_write(self, message, guest="good", options=ONE_ROW, **how):
        """One line on standard error, as soon as it is so, and never the exit status of success."""
        command = how.pop("before", []) + self.command(options)
        done = subprocess.run(command, env=self.environment(guest), text=True,
                              **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how,
                              stdin=subprocess.DEVNULL, timeout=110)
        self.assertEqual(done.returncode, 2, (done.stdout or "") + done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("nmisafe: "), done.stderr)
        self.assertIn(message, done.stderr)
        return done

    def test_full_standard_output(self):
        for options in (ONE_ROW, ["--list"], ["--help"]):
            with self.subTest(options=options), open("/dev/full", "w", encoding="utf-8") as full:
                self.check_cannot_write("standard output: No space left on device", options=options,
                                        stdout=full)

    def test_closed_standard_files(self):
        """What is printed does not go into the file that would get the closed one's number."""
        for closed in ([1], [0, 1], [2], [0, 1, 2]):
            with self.subTest(closed=closed):
                shutil.rmtree(self.out, ignore_errors=True)
                done = subprocess.run(
                    ["sh", "-c", "exec \"$@\" " + " ".join(f"{number}>&-" for number in closed), "sh",
                     *self.command(ONE_ROW)], env=self.environment("good"), text=True,
                    capture_output=True, timeout=110)
                if 1 in closed:
                    self.assertEqual((done.returncode, done.stdout), (2, ""))
                    self.assertFalse((self.out / "report.json").exists())
                else:
                    self.assertEqual(done.returncode, 0, done.stdout)
                if 1 in closed and 2 not in closed:
                    self.assertEqual(done.stderr, "nmisafe: standard output: Bad file descriptor\n")
                for file in self.out.glob("*.lock"):
                    self.assertRegex(file.read_text(), r"^[0-9]+\n?$")

    def test_full_standard_error(self):
        """The status tells that it was refused."""
        with open("/dev/full", "w", encoding="utf-8") as full:
            for options, status in ((["--unknown"], 2), (ONE_ROW, 0)):
                done = subprocess.run(self.command(options), env=self.environment("good"), stderr=full,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=110)
                self.assertEqual(done.returncode, status)

    def test_full_files(self):
        """/dev/full behaves as a full disk does."""
        name = "x86_64-every-instruction-far"
        for file in (f"{name}.log", f"{name}-trace.log", f"{name}-trace.exec", f"{name}-raises.log",
                     f"{name}-raises.exec", "report.json.unfinished", "report.txt.unfinished"):
            with self.subTest(file=file):
                self.out = self.folder / ("out for " + file)
                self.out.mkdir()
                (self.out / file).symlink_to("/dev/full")
                done = self.check_cannot_write(f"{self.out / file}: No space left on device",
                                               "sweep", SWEEP)
                self.assertNotIn("not seen", done.stdout + done.stderr)
                self.assertFalse((self.out / "report.json").exists())

    def test_unwritable_files(self):
        name = "x86_64-every-instruction-far"
        for file in (f"{name}.log", f"{name}-trace.exec", "report.json.unfinished", "run.lock"):
            with self.subTest(file=file):
                self.out = self.folder / ("out for " + file)
                (self.out / file).mkdir(parents=True)
                self.check_cannot_write(f"{self.out / file}: Is a directory", "sweep", SWEEP)

    def mounted(self, options):
        """A command's begin: --out is a file system of its own, for that command alone."""
        if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"],
                                               check=False).returncode != 0:
            self.skipTest("nothing may be mounted here")
        self.out.mkdir(exist_ok=True)
        return ["unshare", "--mount", "sh", "-c",
                f'mount -t tmpfs -o {options} none "$0" && exec "$@"', str(self.out)]

    def test_full_disk(self):
        name = "x86_64-page-fault-in-nmi-far"
        self.check_cannot_write(f"{self.out / name}.log: No space left on device", "flood",
                                before=self.mounted("size=64k"))

    def test_full_disk_execution_log(self):
        """The emulator does not say so, and what is missing in its log must not be judged."""
        name = "x86_64-every-instruction-far"
        done = self.check_cannot_write(f"{self.out / name}-trace", "sweep-long-log", SWEEP,
                                       before=self.mounted("size=128k"))
        self.assertRegex(done.stderr, r"-trace\.(exec|log): No space left on device$")

    def test_read_only_out(self):
        self.check_cannot_write("run.lock: Read-only file system", before=self.mounted("ro"))

    def test_size_limit(self):
        """As a full disk, but a signal comes too."""
        self.check_cannot_write("x86_64-page-fault-in-nmi-far.log: File too large", "flood",
                                before=["prlimit", "--fsize=65536"])

    # --- locales and terminals ---

    def test_locale(self):
        """That of the user need not be installed."""
        for name in ("LANG", "LC_ALL", "LC_CTYPE"):
            with self.subTest(name=name):
                done = subprocess.run(self.command(ONE_ROW), text=True, capture_output=True,
                                      env=self.environment("good") | {name: "xx_XX.UTF-8"},
                                      timeout=110)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def run_on_terminal(self, kind):
        """What a terminal of this kind is told."""
        leader, follower = pty.openpty()
        tool = subprocess.Popen(self.command(ONE_ROW),
                                env=self.environment("good") | {"TERM": kind},
                                stdin=subprocess.DEVNULL, stdout=follower)
        os.close(follower)
        seen = b""
        while True:
            try:
                piece = os.read(leader, 4096)
            except OSError:  # the other end was closed
                break
            seen += piece
        os.close(leader)
        self.assertEqual(tool.wait(), 0)
        self.assertIn(b"1 rows, 1 passed, 0 failed", seen)
        return seen

    def test_terminal(self):
        self.assertIn(b"\r\x1b[K[0/1]  x86_64-page-fault-in-nmi-far", self.run_on_terminal("xterm"))

    def test_dumb_terminal(self):
        self.assertNotIn(b"\x1b", self.run_on_terminal("dumb"))


if __name__ == "__main__":
    main(Surroundings)
