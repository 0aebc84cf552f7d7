# SPDX-License-Identifier: MIT
"""What `nmisafe run` makes of good and bad guests, played by fake emulators.

check_tool.py TOOL CASE    one case, as a ctest test; without CASE all of them.
"""
import pathlib
import re
import time

from tool_case import CONTROL_ROW, ONE_ROW, SWEEP, ToolCase, main


class Tool(ToolCase):
    # --- what must pass ---

    def test_good(self):
        done = self.run_tool("good", ONE_ROW)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = self.report()
        self.assertEqual(report["schema"], 1)
        (row,) = report["rows"]
        expected = {"experiment": "page-fault-in-nmi", "arch": "x86_64", "emulator": "qemu 7.2.99",
                    "policy": "far", "boundaries": 7, "nmis_raised": 9, "nmis_handled": 9,
                    "nested": 0, "lost": 0, "corrupted": 0, "unsafe_irets": 0,
                    "expected": "safe", "passed": True, "without": "none", "reason": "",
                    "extras": {"ticks": 5}}
        self.assertEqual({key: row[key] for key in expected}, expected)
        self.assertIn("free text", (self.out / "x86_64-page-fault-in-nmi-far.log").read_text())
        self.assertIn("1 rows, 1 passed, 0 failed", done.stdout)
        self.assertNotIn("\x1b", done.stdout)

    def test_good_both_widths(self):
        done = self.run_tool("good", ["--experiment", "page-fault-in-nmi", "--policy", "near",
                                      "--policy", "far"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual([(row["arch"], row["policy"]) for row in self.report()["rows"]],
                         [("x86_64", "far"), ("x86_64", "near"),
                          ("x86_32", "far"), ("x86_32", "near")])
        self.assertIn("qemu-system-i386", self.commands())

    def test_summary(self):
        """One line for an experiment and width, and the rest in a file."""
        options = ["--experiment", "page-fault-in-nmi", "--policy", "near", "--policy", "far"]
        lines = self.run_tool("good", options).stdout.splitlines()
        self.assertEqual(lines[0].split(), ["experiment", "arch", "boundaries", "seconds",
                                            "verdict", "held", "harm", "shown", "by"])
        for line, arch in zip(sorted(lines[1:3]), ("x86_32", "x86_64")):
            self.assertRegex(line, rf"^page-fault-in-nmi +{arch} +14 +\d+\.\d +passed +far, near +-$")
        self.assertEqual(lines[3:], ["", "4 rows, 4 passed, 0 failed",
                                     f"report: {self.out}/report.json, "
                                     f"its tables: {self.out}/report.txt"])
        tables = (self.out / "report.txt").read_text()
        self.assertEqual(sorted(tables.splitlines()[:3]), sorted(lines[:3]))
        self.assertEqual(len(re.findall("^page-fault-in-nmi +- .* safe +passed$", tables, re.M)), 4)

    def test_verbose(self):
        done = self.run_tool("good", [*ONE_ROW, "--verbose"])
        self.assertRegex(done.stdout, r"^\[1/1\] passed  x86_64-page-fault-in-nmi-far  \d+\.\d s\n")
        self.assertIn((self.out / "report.txt").read_text(), done.stdout)

    def test_command_line(self):
        self.run_tool("good", ONE_ROW)
        command = self.commands()
        for part in ("-machine q35", "-smp 2", "-no-reboot", "-debugcon stdio", "-display none",
                     "-kernel nmisafe-x86_64.image",
                     "-append experiment=page-fault-in-nmi policy=far",
                     "isa-debug-exit,iobase=0xf4,iosize=0x4"):
            self.assertIn(part, command)
        self.assertNotIn("-icount", command)

    def test_command_line_of_the_entry(self):
        for experiment, policy, part in (
                ("return-path", "far", "nmisafe-x86_64-controls.image"),
                ("flag-window", "far", "nmisafe-x86_64-controls.image"),
                ("crash-small-stack", "near",
                 "-append experiment=crash-small-stack policy=near stack=1000 ")):
            with self.subTest(experiment=experiment):
                self.run_tool("good", ["--arch", "x86_64", "--experiment", experiment,
                                       "--policy", policy])
                self.assertIn(part, self.commands())
                (self.folder / "commands").unlink()

    def test_kernel_options(self):
        self.run_tool("good", ONE_ROW + ["--kernel-option", "toggles=7", "--kernel-option=stack=5"])
        self.assertIn("-append experiment=page-fault-in-nmi policy=far toggles=7 stack=5 ",
                      self.commands())

    def test_kernel_option_of_a_row_itself(self):
        done = self.run_tool("good", ["--arch", "x86_64", "--experiment", "patch-storm", "--policy", "near",
                                      "--kernel-option", "toggles=7"])
        self.assertEqual(done.stderr, "nmisafe: --kernel-option toggles=7 is not for what has its own: "
                                      "x86_64-patch-storm-near-without-int3\n")
        self.assertIn("policy=near toggles=7 ", self.commands())

    def test_control(self):
        done = self.run_tool("control", CONTROL_ROW)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.report()["rows"][0]["expected"], "control")

    def test_control_image(self):
        options = ["--arch", "x86_32", "--experiment", "not-plain", "--policy", "near"]
        done = self.run_tool("control", options)
        self.assertEqual(done.returncode, 1)  # `control` is no good safe row
        rows = {row["without"]: row for row in self.report()["rows"]}
        self.assertEqual({without: row["passed"] for without, row in rows.items()},
                         {"none": False, "tf": True, "rf": True})
        self.assertTrue(rows["tf"]["log"].endswith("x86_32-not-plain-near-without-tf.log"))
        self.assertIn("nmisafe-x86_32-controls.image", self.commands())
        self.assertIn("policy=near without=tf", self.commands())

    def test_orphan(self):
        started = time.monotonic()
        done = self.run_tool("orphan", ONE_ROW)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertLess(time.monotonic() - started, 30)

    def test_sweep(self):
        done = self.run_tool("sweep", SWEEP)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = self.report()
        covered = {row["path"]: row["coverage"] for row in report["rows"]}
        self.assertEqual(covered["nmi-breakpoint"],
                         {"how": "raised", "instructions": 2, "hit": 2, "missing": [],
                          "unreachable": []})
        self.assertEqual(covered["thread-page-fault"],
                         {"how": "delivered", "instructions": 2, "hit": 2, "missing": [],
                          "unreachable": ["0x4100"]})
        self.assertEqual([covered[path]["how"] for path in ("nmi-page-fault", "thread-breakpoint")],
                         ["raised", "delivered"])
        row = next(row for row in report["rows"] if row["path"] == "nmi-breakpoint")
        self.assertEqual((row["boundaries"], row["extras"]),
                         (2, {"delivered": 0, "injections": 12}))
        self.assertEqual(report["costs"], [{"name": "nmi-entry", "arch": "x86_64", "policy": "far",
                                            "instructions": 2, "smallest": 2, "occurrences": 1,
                                            "items": 1, "per_item": 2}])
        normal, trace, raises = self.commands().splitlines()
        self.assertIn("-icount shift=6,sleep=off", normal)
        for part in ("mode=trace", "-singlestep", "-trace", "-dfilter"):
            self.assertNotIn(part, normal)
        for part in ("mode=trace", "-singlestep -d exec,nochain,int", "-dfilter 0x1000+0x9000"):
            self.assertIn(part, trace)
        self.assertNotIn("-trace ", trace)
        for part in ("-d exec,nochain ", "-trace apic_deliver_irq",
                     "-dfilter 0x1000+0x15,0x2000+0x15"):
            self.assertIn(part, raises)
        for part in ("mode=trace", "-singlestep"):
            self.assertNotIn(part, raises)
        self.assertEqual(list(self.out.glob("*.exec")), [])

    def test_sweep_traced(self):
        done = self.run_tool("sweep", [*SWEEP, "--kernel-option", "trace=on"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("with trace= neither are boundaries compared", done.stderr)
        self.assertEqual(len(self.commands().splitlines()), 1)
        report = self.report()
        self.assertEqual(([row for row in report["rows"] if "coverage" in row], report["costs"]), ([], []))

    def test_sweep_keep_logs(self):
        self.run_tool("sweep", [*SWEEP, "--keep-logs"])
        self.assertEqual(sorted(file.name for file in self.out.glob("*.exec")),
                         ["x86_64-every-instruction-far-raises.exec",
                          "x86_64-every-instruction-far-trace.exec"])

    def test_sweep_disagree(self):
        done = self.run_tool("sweep-disagree", SWEEP)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        (cost,) = self.report()["costs"]
        self.assertEqual((cost["instructions"], cost["smallest"], cost["occurrences"]), (3, 2, 2))

    # --- what must fail ---

    def test_hang(self):
        started = time.monotonic()
        self.check_failed("hang", r"timeout: no end within 5 s; last line: \"going to sleep\"",
                          [*ONE_ROW, "--timeout", "5"])
        self.assertLess(time.monotonic() - started, 30)

    def test_fail_hang(self):
        """What it had said before is the more telling half."""
        options = [*ONE_ROW, "--timeout", "3"]
        (row,) = self.check_failed("fail-hang", "timeout: no end within 3 s; it had said: "
                                                "rflags differ at=12", options)
        self.assertEqual(row["said"], ["rflags differ at=12", "ss too"])
        self.assertIn("said: ss too\n", (self.out / "report.txt").read_text())

    def test_panic(self):
        self.check_failed("panic", "panic: double fault rip=0x1234")

    def test_garbage(self):
        self.check_failed("garbage", "no @hello")

    def test_bad_record(self):
        self.check_failed("bad-record", r"bad console: nested is not a number: \"@row nested=zero")

    def test_empty(self):
        self.check_failed("empty", "the console is empty")

    def test_triple_fault(self):
        self.check_failed("triple-fault", r"guest reset or stopped without @done \(exit status 0\)")

    def test_wrong_status(self):
        self.check_failed("wrong-status", "@done, but exit status 35 instead of 33")

    def test_signal(self):
        self.check_failed("signal", "ended by signal 11")

    def test_wrong_hello(self):
        self.check_failed("wrong-hello", "another guest answered: policy is other, asked for far")

    def test_no_row(self):
        self.check_failed("no-row", "no @row")

    def test_flood(self):
        self.check_failed("flood", "the guest printed too much")
        self.assertLess((self.out / "x86_64-page-fault-in-nmi-far.log").stat().st_size, 17 << 20)

    def test_broken(self):
        self.check_failed("broken", "exit status 1: qemu-system: could not load kernel")

    def test_harmed(self):
        self.check_failed("harmed", "nested is 3")

    def test_failing(self):
        self.check_failed("failing", "failures is 1: rflags differ at=12")

    def test_no_nmi(self):
        self.check_failed("no-nmi", "no NMI was handled")

    def test_control_without_symptom(self):
        self.check_failed("good", "did not show its symptom: nested is 0", CONTROL_ROW)

    def test_latch_not_needed(self):
        rows = self.check_failed("good", "no IRET unblocked NMIs|did not show its symptom",
                                 [*ONE_ROW[:-1], "iret"])
        self.assertEqual([row["reason"].partition(":")[0] for row in rows if row["without"] == "none"],
                         ["no IRET unblocked NMIs"])

    def test_sweep_missing_rip(self):
        rows = self.check_failed("sweep-missing-rip",
                                 "no NMI delivered before 1 of 2 instructions: 0x3002", SWEEP)
        self.assertEqual([row["coverage"]["missing"] for row in rows],
                         [[], [], ["0x3002"], *[[]] * 6])

    def test_sweep_missing_raise(self):
        rows = self.check_failed("sweep-missing-raise",
                                 "no NMI raised before 1 of 2 instructions: 0x1004", SWEEP)
        self.assertEqual([row["coverage"]["missing"] for row in rows],
                         [["0x1004"], *[[]] * 8])

    def test_sweep_raises_differs(self):
        rows = self.check_failed("sweep-raises-differs",
                                 "the logged run differs from the normal one: "
                                 "nmi-breakpoint boundaries is 13 instead of 12", SWEEP)
        self.assertFalse(any(row["passed"] for row in rows))

    def test_sweep_raises_hangs(self):
        self.check_failed("sweep-raises-hangs", "raises run: timeout", [*SWEEP, "--timeout", "6"])

    def test_sweep_raises_resets(self):
        self.check_failed("sweep-raises-resets", "raises run: guest reset or stopped", SWEEP)

    def test_sweep_no_end(self):
        self.check_failed("sweep-no-end", "window thread-breakpoint was not walked", SWEEP)

    def test_sweep_empty_log(self):
        self.check_failed("sweep-empty-log", "the execution log is empty", SWEEP)

    def test_sweep_not_delivered(self):
        self.check_failed("sweep-not-delivered", "no path was marked delivered=1", SWEEP)

    def test_sweep_path_lost(self):
        self.check_failed("sweep-path-lost", "no @row of path nmi-page-fault", SWEEP)

    def test_sweep_trace_hangs(self):
        self.check_failed("sweep-trace-hangs", "trace run: timeout", [*SWEEP, "--timeout", "6"])

    def test_sweep_trace_resets(self):
        self.check_failed("sweep-trace-resets", "trace run: guest reset or stopped", SWEEP)


if __name__ == "__main__":
    main(Tool)
