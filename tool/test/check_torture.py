# SPDX-License-Identifier: MIT
"""`nmisafe torture` on the reference kernel, and on kernels of a few bytes that do not do what they are to.

check_torture.py TOOL IMAGES CASE    one case, as a ctest test; without CASE all of them.
"""
import json
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as xml

import inside_sweep

MACHINE = ["--", "-machine", "q35", "-cpu", "max", "-m", "64",
           "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]
SAME_PATH = ["--path", "nmi", "--at", "window_outside_begin"]
LOAD = 0x100000
OUT_FOR_EVER = b"\x66\xba\xe9\x00\xb0\x78" + b"\xee\xeb\xfd"  # mov $0xe9, %dx; mov $'x', %al; 1: out %al, %dx; jmp 1b
TURN = b"\xeb\xfe"
TRIPLE_FAULT = b"\x0f\x01\x1d" + struct.pack("<I", LOAD + 0x800) + b"\xcc"  # lidt of zeros; int3


def multiboot(code):
    """A kernel of these instructions, which starts in protected mode."""
    flags = 0x10000
    head = struct.pack("<8I", 0x1badb002, flags, -(0x1badb002 + flags) & 0xffffffff, LOAD, LOAD,
                       LOAD + 0x1000, LOAD + 0x1000, LOAD + 32)
    return (head + code).ljust(0x1000, b"\0")


class Torture(unittest.TestCase):
    tool = ""
    images = pathlib.Path()

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nmisafe-torture-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = self.folder / "out"

    def kernel(self, name="x86_64"):
        return str(self.images / f"nmisafe-{name}.image")

    def command(self, options, kernel, machine):
        return [self.tool, "torture", "--out", str(self.out), *options, str(kernel), *machine]

    def torture(self, options, kernel=None, machine=None, policy="near"):
        line = f"experiment=from-outside policy={policy}"
        kernel = kernel or self.kernel()
        return subprocess.run(
            self.command([*options, "--append", line], kernel, MACHINE if machine is None else machine),
            text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=280)

    def report(self):
        return json.loads((self.out / "report.json").read_text())

    def sweep(self):
        (sweep,) = self.report()["sweeps"]
        return sweep

    def check_same(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        sweep = self.sweep()
        self.assertEqual(sweep["verdicts"], {"same": sweep["boundaries"]})
        self.assertEqual(sweep["missing"], [])
        self.assertEqual([one["step"] for one in sweep["trace"]], list(range(sweep["steps"])))
        return sweep

    def refused(self, done, pattern):
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertRegex(done.stderr, pattern)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(self.left_running(), [])

    def left_running(self):
        """Emulators, and forks of them, of a kernel in this test's folder."""
        lines = subprocess.run(["ps", "-ww", "-eo", "args="], text=True, capture_output=True, check=True).stdout.splitlines()
        return [line for line in lines if str(self.folder) in line]

    def small_kernel(self, code):
        file = self.folder / "small.image"
        file.write_bytes(multiboot(code))
        return file

    # --- the reference kernel ---

    def test_breakpoint(self):
        sweep = self.check_same(self.torture(["--path", "breakpoint"]))
        self.assertGreater(sweep["steps"], 50)
        self.assertIn("nmisafe_trap", sweep["begin_symbol"])
        self.assertEqual({one["latency"] for one in sweep["trace"]}, {0})

    def test_landed(self):
        """QEMU's own log of NMIs: each landed where the report says, and in that order."""
        log = self.folder / "int.log"
        sweep = self.check_same(self.torture(["--path", "breakpoint"], machine=[*MACHINE, "-d", "int", "-D", str(log)]))
        landed = re.findall(r"^ *\d+: v=02 .* IP=[0-9a-f]+:([0-9a-f]+)", log.read_text(errors="replace"), re.M)
        self.assertEqual([int(one, 16) for one in landed], [int(one["pc"], 16) for one in sweep["trace"]])

    def test_forked(self):
        """The same start for all: the same steps as in the loop, and memory too."""
        done = self.torture(["--path", "breakpoint", "--exact", "--junit", str(self.folder / "junit.xml")])
        sweep = self.check_same(done)
        self.assertEqual(sweep["mode"], "fork")
        suite = xml.parse(self.folder / "junit.xml").getroot().find("testsuite")
        self.assertEqual(suite.get("tests"), str(sweep["boundaries"]))
        self.assertEqual(suite.get("failures"), "0")
        self.assertIn("instruction by instruction", (self.out / "report.html").read_text())

    def test_in_an_nmi(self):
        """The path is an NMI whose handler hits INT3: the next one comes when it has returned, and never inside."""
        sweep = self.check_same(self.torture(SAME_PATH))
        self.assertGreater(sweep["steps"], 200)
        self.assertEqual({one["entries"] for one in sweep["trace"]}, {2})

    def test_two_in_an_nmi(self):
        sweep = self.check_same(self.torture(["--path", "nmi-in-nmi", "--at", "window_outside_begin"]))
        self.assertTrue({one["entries"] for one in sweep["trace"]} <= {2, 3})

    def test_in_an_nmi_by_iret(self):
        """The control: by IRET the breakpoint lets the next NMI in, wherever in the first one it was raised."""
        done = self.torture([*SAME_PATH, "--boundaries", "0..40"], policy="iret")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        sweep = self.sweep()
        self.assertEqual(sweep["verdicts"], {"entered-again": 41})
        one = sweep["anomalies"][7]
        self.assertTrue(one["confirmed"])
        self.assertEqual([entry["nested"] for entry in one["entries"]], [False, True])
        self.assertGreater(len(one["entries"][0]["stack"]), 4)
        self.assertIn("--only " + one["pc"], one["repeat"])
        self.assertIn(one["repeat"].split(" -- ")[0], done.stdout)
        allowed = self.torture([*SAME_PATH, "--boundaries", "0..5", "--allow", "entered-again"],
                               policy="iret")
        self.assertEqual(allowed.returncode, 0, allowed.stdout + allowed.stderr)
        again = self.torture([*SAME_PATH, "--only", one["pc"]], policy="iret")
        self.assertEqual(again.returncode, 1, again.stdout + again.stderr)
        self.assertEqual(self.sweep()["verdicts"], {"entered-again": 1})

    def test_machine_check(self):
        """Its handler is entered at each boundary; the kernel counts them by itself too."""
        sweep = self.check_same(self.torture(["--path", "breakpoint", "--mc"]))
        self.assertEqual({one["entries"] for one in sweep["trace"]}, {1})

    def test_pairs(self):
        """A second one at every boundary behind the entry of the first."""
        done = self.torture(["--path", "breakpoint", "--pairs", "--boundaries", "3..4"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        sweep = self.sweep()
        self.assertEqual(sweep["verdicts"], {"same": sweep["boundaries"]})
        for step in (3, 4):
            seconds = [one["second"] for one in sweep["trace"] if one["step"] == step]
            self.assertEqual(seconds, list(range(len(seconds))))
            self.assertGreater(len(seconds), 100)
        self.assertEqual({one["entries"] for one in sweep["trace"]}, {2})

    def test_interrupt(self):
        """Interrupts are off on the whole path: one that is raised there waits."""
        sweep = self.check_same(self.torture(["--path", "breakpoint", "--irq", "64"]))
        self.assertEqual({one["entries"] for one in sweep["trace"]}, {0})

    # --- from inside and from outside ---

    def test_inside_and_outside(self):
        """The kernel's own sweep and this one agree, boundary by boundary: which there are, and that each is the same.
        Under the policy iret this one finds, at the same boundaries, what the policy is for."""
        landed, rows = inside_sweep.rows_of([*MACHINE[1:], "-kernel", self.kernel()])
        for path, window in (("thread-breakpoint", "window_breakpoint"),
                             ("thread-breakpoint-if", "window_breakpoint_if"),
                             ("thread-page-fault", "window_page_fault")):
            options = ["--path", f"{window}_begin..{window}_end", "--after", "ready to be swept", "--append"]
            line = f"experiment=every-instruction mode=loop path={path} policy="
            done = subprocess.run(self.command([*options, line + "near"], self.kernel(), MACHINE), text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=280)
            sweep = self.check_same(done)
            outside = {int(one["pc"], 16) for one in sweep["trace"]}
            self.assertGreater(len(outside), 100)
            self.assertEqual({one["entries"] for one in sweep["trace"]}, {2})  # its handler raises the second
            wrong = {name: rows[path][name] for name in ("nested", "lost", "corrupted", "failures")}
            self.assertEqual(set(wrong.values()), {"0"}, wrong)
            # From inside no NMI comes between the fault and its handler: virtual time stands still there.
            only_outside = outside - landed[path]
            entry = {int(sweep["trace"][1]["pc"], 16)} if path == "thread-page-fault" else set()
            self.assertEqual(only_outside, entry)
            # From inside more is swept: the window around the path, and who calls it.
            around = inside_sweep.functions_of(self.images / "nmisafe-x86_64.elf", landed[path] - outside)
            self.assertTrue(all(re.match(rf"{window}(_end)?$|kernel::(both_handled|\(anonymous namespace\)::)", name)
                                for name in around), around)
            if path != "thread-breakpoint":
                continue
            done = subprocess.run(self.command([*options, line + "iret"], self.kernel(), MACHINE), text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=280)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            again = self.sweep()
            self.assertEqual(set(again["verdicts"]) - {"entered-again", "overwritten"}, set())
            # The paths differ in the policies' returns alone.
            first = [[one["pc"] for one in of["trace"][:40]] for of in (sweep, again)]
            self.assertEqual(*first)

    # --- campaigns ---

    def campaign(self, sweeps, out, more=(), text=None):
        file = self.folder / "campaign.json"
        file.write_text(text if text is not None else json.dumps({"sweeps": sweeps}))
        return [self.tool, "torture", "--campaign", str(file), "--kernels", str(self.images), "--out",
                str(self.folder / out), *more]

    def run_campaign(self, *arguments, **named):
        return subprocess.run(self.campaign(*arguments, **named), text=True, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=280)

    def sweep_of(self, name, *arguments, **more):
        return {"name": name, "kernel": "nmisafe-x86_64.image", "qemu": MACHINE[1:], **more,
                "arguments": ["--append", "experiment=from-outside policy=near", *arguments]}

    def found(self, out, name):
        (sweep,) = json.loads((self.folder / out / name / "report.json").read_text())["sweeps"]
        return sweep["steps"], sweep["trace"], sweep["verdicts"]

    def test_campaign(self):
        """Interrupted and gone on with it is what it is in one go; what was done is not done again."""
        sweeps = [self.sweep_of("first", "--boundaries", "0..20"),
                  self.sweep_of("second", *SAME_PATH, "--exact", "--boundaries", "0..150")]
        whole = self.run_campaign(sweeps, "whole")
        self.assertEqual(whole.returncode, 0, whole.stdout + whole.stderr)
        self.assertIn("2 of 2 sweeps done, 172 boundaries, 0 findings", whole.stdout)
        with subprocess.Popen(self.campaign(sweeps, "parts"), text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            def is_sweeping():
                found = subprocess.run(["ps", "-o", "args=", "--ppid", str(process.pid)], text=True,
                                       capture_output=True, check=False).stdout
                return (self.folder / "parts" / "first" / "result.json").exists() and "-kernel" in found
            deadline = time.monotonic() + 200
            while not is_sweeping() and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        first = (self.folder / "parts" / "first" / "report.json").stat().st_mtime_ns
        rest = self.run_campaign(sweeps, "parts")
        self.assertEqual(rest.returncode, 0, rest.stdout + rest.stderr)
        self.assertRegex(rest.stdout, r"first +21 .*\(kept\)")
        self.assertRegex(rest.stdout, r"second +151 .*same\n")
        self.assertEqual((self.folder / "parts" / "first" / "report.json").stat().st_mtime_ns, first)
        for name in ("first", "second"):
            self.assertEqual(self.found("parts", name), self.found("whole", name))
        # What it depends on has changed: it is done again.
        sweeps[0]["arguments"][-1] = "0..10"
        again = self.run_campaign(sweeps, "parts")
        self.assertRegex(again.stdout, r"first +11 .*same\n")
        self.assertRegex(again.stdout, r"second +151 .*\(kept\)")

    def test_campaign_shares(self):
        """Two shares in one folder are the whole; a finding or a short path in any is the campaign's."""
        sweeps = [self.sweep_of("first", "--boundaries", "0..5"), self.sweep_of("second", "--boundaries", "3..5")]
        one = self.run_campaign(sweeps, "shares", ["--share", "1/2"])
        self.assertEqual(one.returncode, 0, one.stdout + one.stderr)
        self.assertRegex(one.stdout, r"second +not done\n1 of 2 sweeps done, 6 boundaries")
        two = self.run_campaign(sweeps, "shares", ["--share", "2/2"])
        self.assertRegex(two.stdout, r"first +6 .*\(kept\)")
        self.assertIn("2 of 2 sweeps done, 9 boundaries", two.stdout)
        figures = json.loads((self.folder / "shares" / "summary.json").read_text())["sweeps"]
        self.assertEqual([(each["name"], each["boundaries"], each["status"]) for each in figures],
                         [("first", 6, 0), ("second", 3, 0)])
        sweeps[1]["least"] = 4
        self.refused(self.run_campaign(sweeps, "shares"), "second: 3 boundaries, and at least 4")
        sweeps = [self.sweep_of("iret", *SAME_PATH, "--boundaries", "0..3")]
        sweeps[0]["arguments"][1] = "experiment=from-outside policy=iret"
        bad = self.run_campaign(sweeps, "bad")
        self.assertEqual(bad.returncode, 1, bad.stdout + bad.stderr)
        self.assertIn("1 of 1 sweeps done, 4 boundaries, 4 findings", bad.stdout)
        kept = self.run_campaign(sweeps, "bad")
        self.assertEqual(kept.returncode, 1, kept.stdout + kept.stderr)
        self.assertIn("(kept)", kept.stdout)

    def test_campaign_wrong(self):
        """What is wrong with a file is said before anything is started: which line, or which sweep."""
        def wrong(pattern, sweeps=None, text=None, more=()):
            done = self.run_campaign(sweeps, "wrong", more, text=text)
            self.refused(done, pattern)
            self.assertEqual(done.stdout, "")
        good = self.sweep_of("good")
        wrong("campaign.json: parse error at line 3", text='{\n "sweeps": [\n  {"name" "good"}\n ]\n}\n')
        wrong('a list "sweeps"', text="[]")
        wrong('a list "sweeps"', [])
        wrong(r"sweep 2 \(bad\): there is nothing like \"path\"", [good, {**good, "name": "bad", "path": "nmi"}])
        wrong(r"sweep 2 \(bad\): \"arguments\" is not a list of texts", [good, {**good, "name": "bad", "arguments": "nmi"}])
        wrong(r"sweep 1 \(\.\./x\): its \"name\"", [{**good, "name": "../x"}])
        wrong("sweep 2: it is no object", [good, 7])
        wrong(r"sweep 2 \(good\): another one has this name", [good, good])
        wrong(r'sweep 1 \(bad\): it has no "kernel"', [{"name": "bad"}])
        wrong("sweep bad: .*--nonsense", [good, self.sweep_of("bad", "--nonsense")])
        wrong("sweep bad: .*no verdict", [good, self.sweep_of("bad", "--allow", "all")])
        wrong("sweep bad: .*nowhere: there is no such file", [good, {**good, "name": "bad", "kernel": "nowhere"}])
        wrong("there is no sweep other", [good], more=["--sweep", "other"])
        wrong("--share 3/2", [good], more=["--share", "3/2"])
        none = subprocess.run([self.tool, "torture", "--out", str(self.out)], text=True, capture_output=True)
        self.refused(none, "KERNEL, or --campaign")

    # --- what does not work ---

    def test_never_taken(self):
        self.refused(self.torture(["--timeout", "4"], self.small_kernel(TURN), []),
                     "has not taken the path.*4 seconds")

    def test_dies_before(self):
        self.refused(self.torture([], self.small_kernel(TRIPLE_FAULT), []), "ended.*before it took the path")

    def test_prints_without_end(self):
        self.refused(self.torture(["--output-limit", "100000"], self.small_kernel(OUT_FOR_EVER), []),
                     "printed more than")

    def test_no_kernel(self):
        self.refused(self.torture([], self.folder / "none"), "no such file")
        (self.folder / "text").write_text("no kernel\n" * 100)
        self.refused(self.torture([], self.folder / "text"), "is no kernel")
        (self.folder / "empty").write_text("")
        self.refused(self.torture([], self.folder / "empty"), "empty")
        (self.folder / "elf").write_bytes(b"\177ELF" + bytes(2000))
        self.refused(self.torture([], self.folder / "elf"), "without a Multiboot header")

    def test_malformed(self):
        head = multiboot(TURN)
        for name, content, pattern in (
                ("short", head[:40], "status 1.*before it took the path"),
                ("far", head.replace(struct.pack("<I", LOAD), struct.pack("<I", 0xfff00000)), "invalid load_end_addr"),
                ("checksum", head[:8] + b"1234" + head[12:], "has not taken the path"),
                ("linux", bytes(0x202) + b"HdrS" + bytes(3000), "taken the path|took the path"),
                ("packed", b"\x1f\x8b" + bytes(1000), "is compressed: unpack it"),
                ("cd.iso", bytes(40000), "has not taken the path"),
                ("disk", TURN.ljust(510, b"\0") + b"\x55\xaa" + bytes(4096), "has not taken the path")):
            with self.subTest(name):
                (self.folder / name).write_bytes(content)
                self.refused(self.torture(["--timeout", "3"], self.folder / name, []), pattern)

    def test_no_symbols(self):
        self.refused(self.torture(["--path", "nowhere"]), "nowhere is neither a path's name")
        stripped = self.folder / "stripped.image"
        shutil.copy(self.kernel(), stripped)
        self.refused(self.torture(["--path", "nmisafe_trap_nmi_entry"], stripped), "no symbols are known")
        (self.folder / "map").write_text("nothing of that kind\n")
        self.refused(self.torture(["--symbols", str(self.folder / "map")]), "neither an ELF file nor lines")
        # Addresses work without.
        self.check_same(self.torture(["--path", "breakpoint"], stripped))
        begin = self.sweep()["begin"]
        self.check_same(self.torture(["--path", begin], stripped))

    def test_wrong_options(self):
        self.refused(self.torture(["--path", "vector:256"]), "0 to 255")
        self.refused(self.torture(["--boundaries", "7"]), "FIRST..LAST")
        self.refused(self.torture(["--boundaries", "9..3"]), "not behind the last one")
        self.refused(self.torture(["--at", "0x1000"]), "--at is of the paths nmi")
        self.refused(self.torture(["--path", "nmi", "--end", "user"]), "--end is not of")
        self.refused(self.torture(["--pairs", "--exact"]), "not with --exact")
        self.refused(self.torture(["--only", "0x1000:y"]), "behind the colon")
        self.refused(self.torture(["--allow", "everything"]), "no verdict")
        self.refused(self.torture(["--qemu", "false"]), "does not answer like QEMU")
        self.refused(self.torture(["--path", "nmi"]), "say where .--at., or what the guest prints")
        self.refused(self.torture(["--dom0", "none"]), "none: there is no such file .--dom0")

    def test_interrupted(self):
        """Ctrl-C: what is done is in the report, and nothing is left running."""
        mark = str(self.out)
        with subprocess.Popen(
                self.command([*SAME_PATH, "--exact", "--append", f"experiment=from-outside policy=near"],
                             self.kernel(), MACHINE),
                text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            def emulators():
                found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], text=True,
                                       capture_output=True, check=False).stdout.split()
                return [pid for pid in found if pathlib.Path("/proc", pid).exists()]
            deadline = time.monotonic() + 60
            group = []
            while not group and time.monotonic() < deadline:
                group = emulators()
                time.sleep(0.1)
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, out + errors)
        self.assertTrue(self.report()["interrupted"])
        for pid in group:
            self.assertFalse(pathlib.Path("/proc", pid).exists(), f"{pid} of {mark} still runs")


def main():
    Torture.tool, Torture.images = sys.argv[1], pathlib.Path(sys.argv[2])
    cases = [f"Torture.test_{name}" for name in sys.argv[3:]]
    unittest.main(argv=[sys.argv[0], *cases])


if __name__ == "__main__":
    main()
