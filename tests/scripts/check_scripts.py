# SPDX-License-Identifier: MIT
"""Runs ./run and ./test in a copy of their own, with stand-ins for the programs they call.

check_scripts.py ROOT [CASE...]
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from stand_ins import STAND_INS

ROOT = pathlib.Path()


# What ctest writes of a test that has printed something.
JUNIT = ('\t<testcase name="{0}" classname="{0}" time="1.25" status="{1}">\n'
         '\t\t<system-out>{2}</system-out>\n\t</testcase>\n').format


class Scripts(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nmisafe-scripts-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.bin, self.state = self.folder / "bin", self.folder / "state"
        self.tree = self.folder / "tree"
        for folder in (self.bin, self.state, self.tree / "scripts", self.tree / ".ci",
                       self.tree / "build/gcc/tool"):
            folder.mkdir(parents=True)
        for name in ("run", "test", ".ci/run", "scripts/setup.sh"):
            shutil.copy(ROOT / name, self.tree / name)
        for name, body in STAND_INS.items():
            self.program(self.bin / name, body)
        self.program(self.tree / "build/gcc/tool/nmisafe",
                     'echo "nmisafe $*" >>"$CALLS"; exit "$(cat "$STATE/status")"')
        (self.state / "status").write_text("0")
        listed = subprocess.run(
            ["bash", "-c", 'source scripts/setup.sh; printf "%s\\n" "${packages_for_test[@]%%:*}"'],
            cwd=self.tree, text=True, capture_output=True, check=True)
        self.packages = [name.replace("-N-", "-12-").rstrip("?").split("=")[0] for name in listed.stdout.split()]
        self.install(self.packages)
        (self.state / "version").write_text("12")

    @staticmethod
    def program(path, body):
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def install(self, packages):
        (self.state / "packages").write_text("".join(f"{name}\n" for name in packages))

    def without(self, *names):
        self.install([name for name in self.packages if name not in names])

    def environment(self):
        return {"PATH": f"{self.bin}:/usr/bin:/bin", "STATE": str(self.state),
                "CALLS": str(self.state / "calls")}

    def start(self, *command, **options):
        """From another folder, as a user may."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": "/",
                   "env": self.environment()} | options
        return subprocess.run([str(self.tree / command[0]), *command[1:]], text=True, timeout=60,
                              **options)

    def start_waiting(self, *command):
        """One that has begun to build and goes on with that, in a process group of its own."""
        (self.state / "waits").touch()
        started = subprocess.Popen([str(self.tree / command[0]), *command[1:]], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(), start_new_session=True)
        self.addCleanup(self.end, started)
        limit = time.monotonic() + 50
        while not (self.state / "waiting").exists() and time.monotonic() < limit:
            time.sleep(0.02)
        (self.state / "waits").unlink()
        return started

    @staticmethod
    def end(started):
        try:
            os.killpg(started.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        started.communicate()

    def calls(self):
        file = self.state / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def check_refused(self, command, message, status=2, **options):
        done = self.start(*command, **options)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(message, done.stderr)
        self.assertEqual(self.calls(), [])

    def test_package_lists(self):
        self.assertIn("qemu-system-x86", self.packages)
        self.assertIn("g++-12-multilib", self.packages)
        self.assertNotIn("gcc-multilib", self.packages)
        # Every other one has the same name in all releases, or is wanted where there is one.
        self.assertEqual([name for name in self.packages if re.search("-[0-9]", name)],
                         ["g++-12-multilib", "clang-16", "lld-16", "clang-19", "lld-19",
                          "clang-format-14"])
        self.assertEqual(len(self.packages), len(set(self.packages)))

    def test_refused(self):
        for command, message in (
                (["run", "--unknown"], "unknown option --unknown"),
                (["run", "x86_64"], "unknown option x86_64"),
                (["run", "--policy"], "--policy needs a value"),
                (["run", "--experiment="], "--experiment needs a value"),
                (["run", "--jobs="], "--jobs needs a value"),
                (["run", "--jobs", ""], "--jobs needs a value"),
                (["run", "--out", "x"], "unknown option --out"),
                (["run", ""], "unknown option"),
                (["run", "--arch", "vax"], "unknown width vax"),
                (["run", "--arch=x86_64 x86_32"], "unknown width x86_64 x86_32"),
                (["test", "--unknown"], "unknown option --unknown"),
                (["test", "nothing"], "unknown part nothing"),
                (["test", "--compiler", "icc"], "unknown compiler icc"),
                (["test", "--compiler"], "--compiler needs a value"),
                (["test", "--label=a|b"], "bad label a|b"),
                ([".ci/run", "--unknown"], "unknown option --unknown")):
            with self.subTest(command=command):
                self.check_refused(command, message)

    def test_help(self):
        for name, flags in (("run", ("--arch", "--experiment", "--policy", "--list", "--jobs",
                                     "--no-install")),
                            ("test", ("--label", "--compiler", "--whole", "--no-install"))):
            done = self.start(name, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for flag in flags:
                self.assertIn(flag, done.stdout)
        self.assertEqual(self.calls(), [])

    def test_run(self):
        done = self.start("run", "--arch", "x86_32", "--policy=far", "--list")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        configure, build, tool = self.calls()
        self.assertTrue(configure.startswith("cmake --preset gcc"))
        # No image that is not asked for.
        self.assertEqual(build, "cmake --build --preset gcc --target nmisafe kernel_x86_32 "
                                "kernel_x86_32-controls")
        self.assertEqual(tool, "nmisafe run --images build/gcc/kernel --out out "
                               "--arch x86_32 --policy=far --list")
        self.assertNotIn("some line of the build", done.stdout)
        self.assertIn("some line of the build", (self.tree / "out/build.log").read_text())

    def test_run_all(self):
        self.assertEqual(self.start("run").returncode, 0)
        self.assertEqual(self.calls()[1:], ["cmake --build --preset gcc",
                                            "nmisafe run --images build/gcc/kernel --out out"])

    def test_status_of_the_tool(self):
        for status in (1, 2, 130):
            (self.state / "status").write_text(str(status))
            self.assertEqual(self.start("run").returncode, status)

    def test_no_install(self):
        self.without("cmake", "xorriso")
        for name in ("run", "test"):
            self.check_refused([name, "--no-install"], "not installed: cmake xorriso", 1)

    def test_run_needs_no_test_packages(self):
        self.without("clang", "g++-alpha-linux-gnu", "doctest-dev")
        self.assertEqual(self.start("run", "--no-install").returncode, 0)
        done = self.start("test", "--no-install")
        self.assertEqual(done.returncode, 1)
        for name in ("clang", "g++-alpha-linux-gnu", "doctest-dev"):
            self.assertIn(name, done.stderr)

    def test_install_only_missing(self):
        self.without("cmake", "xorriso")
        done = self.start("run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.calls()[0], "apt-get -y --no-install-recommends install cmake "
                                          "xorriso [frontend noninteractive]")
        self.assertTrue(self.calls()[1].startswith("cmake"))
        self.assertIn("cmake: configures the build", done.stdout)

    def test_release(self):
        """The headers for 32 bits are those of the release's g++."""
        self.without("g++-12-multilib")
        (self.state / "version").write_text("14")
        self.assertEqual(self.start("run").returncode, 0)
        self.assertIn("install g++-14-multilib [", self.calls()[0])

    def test_package_the_release_lacks(self):
        """Not asked for; nor missed afterwards."""
        self.without("clang-16", "lld-16", "clang-19")
        (self.state / "absent").write_text("clang-16\nlld-16\n")
        done = self.start("test")
        self.assertEqual(done.returncode, 0, done.stderr)
        installed = [call for call in self.calls() if call.startswith("apt-get")]
        self.assertEqual(len(installed), 1)
        self.assertIn("clang-19", installed[0])
        self.assertNotIn("-16", installed[0])

    def test_release_unknown(self):
        """apt has no lists yet, and nothing is installed that would tell."""
        self.without("g++", "g++-12-multilib")
        (self.state / "version").write_text("")
        (self.state / "needs-update").touch()
        self.check_refused(["run", "--no-install"], "not installed: g++ g++-N-multilib", 1)
        self.assertEqual(self.start("run").returncode, 0)
        self.assertIn("install g++ g++-14-multilib [", self.calls()[2])

    def test_install_fetches_lists(self):
        self.without("cmake")
        (self.state / "needs-update").touch()
        self.assertEqual(self.start("run").returncode, 0)
        self.assertEqual([call.split()[2] for call in self.calls()[:3]],
                         ["--no-install-recommends", "update", "--no-install-recommends"])

    def test_install_fails(self):
        for state, message in (("broken", "apt is broken"), ("liar", "still not installed: cmake")):
            with self.subTest(state=state):
                self.without("cmake")
                (self.state / state).touch()
                done = self.start("run")
                self.assertEqual(done.returncode, 1)
                self.assertIn(message, done.stderr)
                self.assertFalse([call for call in self.calls() if call.startswith("cmake")])
                (self.state / state).unlink()

    def test_install_by_sudo(self):
        self.without("cmake")
        (self.state / "user").touch()
        self.assertEqual(self.start("run").returncode, 0)
        self.assertEqual(self.calls()[0], "sudo env DEBIAN_FRONTEND=noninteractive apt-get -y "
                                          "--no-install-recommends install cmake")

    def test_neither_root_nor_sudo(self):
        self.without("cmake")
        (self.state / "user").touch()
        (self.bin / "sudo").unlink()
        # The machine's own programs but for its sudo.
        for folder in ("/usr/bin", "/bin"):
            for file in pathlib.Path(folder).iterdir():
                if file.name != "sudo" and not (self.bin / file.name).exists():
                    (self.bin / file.name).symlink_to(file)
        self.check_refused(["run"], "neither root nor sudo, so these must be installed first: "
                                    "cmake", 1, env=self.environment() | {"PATH": str(self.bin)})

    def test_two_at_once(self):
        first = self.start_waiting("run")
        for name in ("run", "test", ".ci/run"):
            done = self.start(name)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("another ./run or ./test is at work in this folder", done.stderr)
        self.assertEqual(len(self.calls()), 1) # the first one's
        self.assertIn("some line of the build", (self.tree / "out/build.log").read_text())
        self.end(first)
        self.assertEqual(self.start("run").returncode, 0)

    def test_interrupted(self):
        for name, log in (("run", "build.log"), ("test", "build-gcc.log")):
            with self.subTest(name=name):
                (self.state / "waiting").unlink(missing_ok=True)
                started = self.start_waiting(name)
                os.killpg(started.pid, signal.SIGINT)
                _, error = started.communicate(timeout=50)
                self.assertEqual(started.returncode, 130, error)
                self.assertEqual(error, f"./{name}: interrupted\n")
                self.assertRaises(ProcessLookupError, os.killpg, started.pid, 0)
                self.assertIn("some line of the build", (self.tree / "out" / log).read_text())
        # Neither of the two began anything else.
        self.assertEqual([call.split()[:3] for call in self.calls()],
                         [["cmake", "--preset", "gcc"]] * 2)

    def test_locale(self):
        """One that is not installed is not handed on."""
        done = self.start("run", env=self.environment() | {"LANG": "xx_XX.UTF-8"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("locale C.UTF-8", (self.tree / "out/build.log").read_text())

    def test_unwritable(self):
        """Said before anything is built."""
        for name in ("out", "out/build.log", "out/build.lock"):
            with self.subTest(name=name):
                file = self.tree / name
                if name == "out":
                    file.touch()
                else:
                    file.mkdir(parents=True)
                self.check_refused(["run"], f"{name}", 1)
                if name == "out":
                    file.unlink()
                else:
                    shutil.rmtree(file.parent)

    def test_full_disk(self):
        """/dev/full behaves as a full disk does."""
        (self.tree / "out").mkdir()
        (self.tree / "out/build.log").symlink_to("/dev/full")
        self.check_refused(["run"], "out/build.log: No space left on device", 1)

    def test_standard_output_full(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = self.start("run", stdout=full)
        self.assertEqual((done.returncode, done.stderr),
                         (1, "./run: standard output cannot be written to\n"))
        self.assertEqual(self.calls(), [])

    def test_build_fails(self):
        (self.state / "build-fails").touch()
        done = self.start("run")
        self.assertEqual(done.returncode, 1)
        self.assertIn("error: no such thing", done.stderr)
        self.assertFalse([call for call in self.calls() if call.startswith("nmisafe")])

    def ctest(self, preset):
        jobs = len(os.sched_getaffinity(0)) + 1
        return (f"ctest --preset {preset} --parallel {jobs} --no-tests=error --output-junit "
                f"{self.tree}/out/tests-{preset}.xml")

    def test_test(self):
        for name in ("test", ".ci/run"):
            (self.state / "calls").unlink(missing_ok=True)
            done = self.start(name)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual([call for call in self.calls() if call.startswith("ctest")],
                             [self.ctest("gcc"), self.ctest("clang")])

    def test_test_filters(self):
        self.assertEqual(self.start("test", "--compiler", "clang", "unit", "--label",
                                    "guest").returncode, 0)
        self.assertEqual([call for call in self.calls() if call.startswith("ctest")],
                         [self.ctest("clang") + " -L ^(unit|guest)$"])

    def test_whole(self):
        for options in ["--whole"], []:
            self.start("test", "--compiler", "clang", *options)
        self.assertEqual(re.findall("TEST_WHOLE=([A-Z]+)", "\n".join(self.calls())), ["ON", "OFF"])

    def test_slowest(self):
        """The ten slowest of both compilers, after a failure too."""
        case = '\t<testcase name="{0}.{1}" classname="{0}" time="{1}.25" status="run">\n'
        (self.state / "junit").write_text("".join(case.format("x", i) for i in range(1, 30)))
        (self.state / "tests-fail-gcc").touch()
        lines = self.start("test").stdout.splitlines()
        begin = lines.index("./test: what took longest:") + 1
        self.assertEqual([line.split() for line in lines[begin:]],
                         [[f"{i}.2", "s", compiler, f"x.{i}"] for i in range(29, 24, -1)
                          for compiler in ("gcc", "clang")])

    def test_phases(self):
        """How long each took, those that failed too."""
        (self.state / "tests-fail-gcc").touch()
        lines = self.start("test").stdout.splitlines()
        begin = lines.index("./test: where the time went:") + 1
        self.assertEqual([re.sub(r"^ *\d+ s  ", "", line) for line in lines[begin:begin + 5]],
                         ["packages", "gcc: build", "gcc: tests", "clang: build", "clang: tests"])

    def test_failures(self):
        """At the end, the last lines of each test that was skipped or failed."""
        (self.state / "junit").write_text(
            JUNIT("good", "run", "well\n") +
            JUNIT("bad", "fail", "".join(f"line {i}\n" for i in range(20)) + "a.cpp:3: x &lt; y &amp;&amp; z\n") +
            JUNIT("linux", "notrun", "one\ntwo\nno network\n") + JUNIT("silent", "fail", ""))
        lines = self.start("test", "--compiler", "gcc").stdout.splitlines()
        self.assertEqual(lines[lines.index("./test: skipped: gcc linux"):],
                         ["./test: skipped: gcc linux", "    two", "    no network", "./test: failed: gcc bad"] +
                         [f"    line {i}" for i in range(6, 20)] +
                         ["    a.cpp:3: x < y && z", "./test: failed: gcc silent",
                          "./test: nothing failed, some were skipped (gcc)"])

    def test_test_fails(self):
        for compiler in ("gcc", "clang"):
            with self.subTest(compiler=compiler):
                (self.state / "calls").unlink(missing_ok=True)
                (self.state / f"tests-fail-{compiler}").touch()
                done = self.start("test")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(f"failed: {compiler}: tests", done.stderr)
                # The other compiler had its turn.
                self.assertEqual(len([c for c in self.calls() if c.startswith("ctest")]), 2)
                (self.state / f"tests-fail-{compiler}").unlink()

    def test_test_build_fails(self):
        (self.state / "build-fails").touch()
        done = self.start("test")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("failed: gcc: build", done.stderr)
        self.assertIn("failed: clang: build", done.stderr)
        self.assertFalse([call for call in self.calls() if call.startswith("ctest")])


if __name__ == "__main__":
    ROOT = pathlib.Path(sys.argv.pop(1))
    unittest.main(argv=[sys.argv[0], *(f"Scripts.test_{name}" for name in sys.argv[1:])])
