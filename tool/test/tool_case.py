# SPDX-License-Identifier: MIT
"""What the tests of the whole tool have in common: `nmisafe run` against fake emulators."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

FAKE = pathlib.Path(__file__).with_name("fake_emulator")
ONE_ROW = ["--arch", "x86_64", "--experiment", "page-fault-in-nmi", "--policy", "far"]
# By IRET, and nothing else.
CONTROL_ROW = ["--arch", "x86_64", "--experiment", "patch-storm", "--policy", "iret"]
SWEEP = ["--arch", "x86_64", "--experiment", "every-instruction", "--policy", "far"]


class ToolCase(unittest.TestCase):
    tool = ""  # the program

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nmisafe-tool-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.images = self.folder / "images"
        self.out = self.folder / "out"
        (self.folder / "bin").mkdir()
        self.images.mkdir()
        for name in ("qemu-system-x86_64", "qemu-system-i386"):
            shutil.copy(FAKE, self.folder / "bin" / name)
        for name in ("x86_64", "x86_32", "x86_64-controls", "x86_32-controls"):
            (self.images / f"nmisafe-{name}.image").write_text("not read by a fake\n")

    def environment(self, guest):
        return dict(os.environ, FAKE_GUEST=guest, FAKE_COMMANDS=str(self.folder / "commands"),
                    PATH=f"{self.folder / 'bin'}:{os.environ['PATH']}")

    def command(self, options):
        return [self.tool, "run", "--images", str(self.images), "--out", str(self.out), *options]

    def run_tool(self, guest, options):
        return subprocess.run(self.command(options), env=self.environment(guest), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=110)

    def report(self):
        return json.loads((self.out / "report.json").read_text())

    def commands(self):
        return (self.folder / "commands").read_text()

    def check_failed(self, guest, reason, options=ONE_ROW):
        """Every row fails, for this reason; the report and the table say so too."""
        done = self.run_tool(guest, options)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        rows = self.report()["rows"]
        self.assertTrue(rows)
        failed = [row for row in rows if not row["passed"]]
        self.assertTrue(failed)
        for row in failed:
            self.assertRegex(row["reason"], reason)
            self.assertTrue(pathlib.Path(row["log"]).is_file())
        self.assertRegex(done.stdout, f"{len(rows)} rows, {len(rows) - len(failed)} passed, "
                                      f"{len(failed)} failed")
        self.assertRegex(done.stdout, reason)
        return rows

    def check_refused(self, options, message, guest="good", **environment):
        """One line on standard error, status 2, nothing started."""
        done = subprocess.run(self.command(options), env=self.environment(guest) | environment,
                              text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertRegex(done.stderr, message)
        self.assertFalse((self.folder / "commands").exists())
        self.assertFalse((self.out / "report.json").exists())


def main(cases):
    """check_X.py TOOL CASE...: the cases of this class; without CASE all of them."""
    cases.tool = sys.argv.pop(1)
    names = [f"{cases.__name__}.test_{name}" for name in sys.argv[1:]]
    unittest.main(argv=[sys.argv[0], *names], verbosity=2)
