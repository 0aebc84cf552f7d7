# SPDX-License-Identifier: MIT
"""A copy of the tree in which damages are made: what each test needs built, how it is run, and what it is made from."""
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time

TIME_OUT = 900  # seconds a test may take that is not damaged
# A test that a damage makes hang has noticed it: what takes so much longer than before hangs.
PATIENCE = 10  # times
LEAST_PATIENCE = 60  # seconds, on a machine with other work
CATALOGUE = "tool/catalogue/catalogue_data.cpp"
DOCTEST = r"test cases: *0 \|"  # what stands in each test of doctest's, and in no other (cmake/nmisafe_tests.cmake)


class Wrong(Exception):
    """Something that makes the whole run worthless."""


def place_of(damage, root):
    """The damaged text, with the lines `before` in it exactly once."""
    path = root / damage["file"]
    if not path.is_file():
        return None, f"there is no {damage['file']}"
    text = "\n" + path.read_text()
    times = text.count("\n" + damage["before"] + "\n")
    if times != 1:
        return None, f"its lines stand {times} times in {damage['file']}"
    if damage["before"] == damage["after"]:
        return None, "it changes nothing"
    return text.replace("\n" + damage["before"] + "\n", "\n" + damage["after"] + "\n")[1:], None


def images_of(experiment, arch, catalogue):
    """The variants of the image that its rows need: of those that must be safe, and of all."""
    lines = [line for line in catalogue.splitlines() if f'.experiment = "{experiment}"' in line]
    safe, every = set(), set()
    for line in lines:
        named = re.search(r'\.image = "([^"]*)"', line)
        variant = named[1] if named else "controls" if ".without = " in line else ""
        if variant == "hardened" and arch == "x86_32_pae":
            variant = "controls" # which has it there
        every.add(variant)
        if ".expected = control" not in line:
            safe.add(variant)
    if not lines:
        raise Wrong(f"no line of {CATALOGUE} is of {experiment}")
    return safe, every


def without_comments(name, data):
    """Of a source in C++, C or assembly what is compiled, as far as lines tell: no program is another by the rest."""
    if not name.endswith((".cpp", ".hpp", ".c", ".h", ".S")) or b'R"' in data:
        return data
    lines = (line.strip() for line in data.splitlines())
    return b"\n".join(line for line in lines if line and not line.startswith(b"//"))


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Copy:
    """A copy of the tree, built in a folder of its own."""

    def __init__(self, source, build, out):
        self.source, self.out, self.root = source, out, out / "tree"
        self.build = self.root / "build/damaged"
        self.logs = out / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.lock = (out / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Wrong(f"another run is at work in {out}") from None
        self.time_outs = {}  # of each test that was timed
        self.refresh()
        cache = (build / "CMakeCache.txt").read_text()
        keep = [f"-D{line}" for line in cache.splitlines()
                if line.startswith(("CMAKE_CXX_COMPILER:", "CMAKE_ASM_COMPILER:", "NMISAFE_ARCHS:"))]
        self.must(["cmake", "-G", "Ninja", "-S", str(self.root), "-B", str(self.build), *keep,
                   "-DNMISAFE_BUILD_TESTS=ON", "-DNMISAFE_BUILD_BENCH=OFF"], "configure")
        compilers = re.findall(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache, re.M)
        self.compiler = subprocess.run([*compilers, "--version"], capture_output=True, check=True).stdout
        self.generated = {str(self.build / line.split(": ")[0]) for line in self.ninja("targets", "all")}
        self.read_tests()

    def read_tests(self):
        """What ctest runs for each; the command of a program is there once that is built."""
        listed = subprocess.run(["ctest", "--test-dir", str(self.build), "--show-only=json-v1"], text=True,
                                capture_output=True, check=True).stdout
        self.tests = {test["name"]: test for test in json.loads(listed)["tests"]}

    def ninja(self, *arguments):
        return subprocess.run(["ninja", "-C", str(self.build), "-t", *arguments], text=True,
                              capture_output=True, check=True).stdout.splitlines()

    def refresh(self):
        """Makes the copy what the tree is, and touches nothing that is as it should be."""
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=self.source, text=True, capture_output=True)
        self.names = {name for name in listed.stdout.split("\0") if name and (self.source / name).is_file()}
        if not self.names:
            raise Wrong("git lists no sources")
        for name in self.names:
            origin, target = self.source / name, self.root / name
            if not target.exists() or target.read_bytes() != origin.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin, target)
        # What is no longer there would still be found by file(GLOB) and by #include.
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if os.path.join(folder, name) != str(self.root / "build")]
            for name in files:
                path = os.path.join(folder, name)
                if os.path.relpath(path, self.root) not in self.names:
                    os.unlink(path)

    def run(self, command, log, time_out=None, folder=None):
        """The exit status, or None for a time-out."""
        with (self.logs / f"{log}.log").open("a") as output:
            output.write(f"$ {' '.join(command)}\n")
            output.flush()
            with subprocess.Popen(command, cwd=folder or self.root, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT, start_new_session=True) as child:
                try:
                    return child.wait(time_out)
                except BaseException as problem:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
                    if isinstance(problem, subprocess.TimeoutExpired):
                        return None
                    raise

    def must(self, command, log):
        if self.run(command, log) != 0:
            raise Wrong(f"{' '.join(command[:2])} failed without damage ({self.logs}/{log}.log)")

    def images(self, arch, variants):
        return [f"kernel_{arch}{'-' if variant else ''}{variant}" for variant in sorted(variants)]

    def targets(self, test, controls=True):
        """What has to be built for it; of a guest with or without the images that only its controls need."""
        catalogue = (self.root / CATALOGUE).read_text()
        words = self.tests.get(test, {}).get("command", [])
        arch = next((arch for arch in ("x86_32_pae", "x86_32") if arch in test), "x86_64")
        if test.startswith("guest "):
            return ["nmisafe", *self.images(arch, images_of(test.split()[1], arch, catalogue)[controls])]
        if test.startswith("guest.outside."):
            variant = next((word.removeprefix("--variant=-") for word in words if word.startswith("--variant=")), "")
            return ["injector", *self.images(arch, {variant})]
        if test.startswith("guest.bochs."):
            return [test.removeprefix("guest.").replace(".", "-", 1)]
        if test.startswith("guest.crash-"):
            experiment = test.removeprefix("guest.").split(".")[0]
            return ["nmisafe", *self.images(arch, images_of(experiment, arch, catalogue)[True])]
        if test == "guest.fsgsbase-nmi.x86_64":
            return ["nmisafe", "kernel_x86_64-hardened"]
        if test.startswith("guest."):
            return ["nmisafe", *self.images(arch, {"", "controls"})]
        if test.startswith("image."):
            return [test.replace("image.", "kernel_")]
        if test.startswith("unit."):
            return [f"test_{test.removeprefix('unit.')}"]
        if test.startswith("ctf."):
            return [f"write_trace.{test.rpartition('.')[2]}"]
        if test == "record.experiments":
            return ["nmisafe", "kernel_x86_64", "kernel_x86_32", "kernel_x86_32_pae"]
        if test.startswith("record."):
            return ["nmisafe", f"kernel_{arch}"]
        if test == "fuzz.module_loader":
            return ["fuzz_module_loader"]
        if test.startswith("tool.convert."):
            return ["nmisafe", "make_trace"]
        if test.startswith(("example.", "return_alone.forms")):
            return [] # they compile what they try
        return ["all"]

    def build_for(self, test, log, controls=True):
        targets = self.targets(test, controls)
        return self.run(["cmake", "--build", str(self.build), "--target", *targets], log) if targets else 0

    def test(self, test, log, controls=True, whole=True):
        """Its exit status; not `whole`: no more of it than the first failure."""
        folder = None
        if test.startswith("guest "):
            _, experiment, arch, policy = test.split()
            command = [str(self.build / "tool/nmisafe"), "run", "--images", str(self.build / "kernel"),
                       "--out", str(self.out / "guest"), "--jobs", "1", "--experiment", experiment,
                       "--arch", arch, "--policy", policy] + ([] if controls else ["--no-controls"])
        elif not whole and DOCTEST in json.dumps(self.tests[test]).replace("\\\\", "\\"):
            command = [*self.tests[test]["command"], "--abort-after=1"]
            folder = next(one["value"] for one in self.tests[test]["properties"] if one["name"] == "WORKING_DIRECTORY")
        else:
            command = ["ctest", "--test-dir", str(self.build), "--output-on-failure", "--no-tests=error",
                       "-R", "^" + test.replace(".", r"\.") + "$"]
        return self.run(command, log, self.time_outs.get(test, TIME_OUT), folder)

    def passes(self, test, log):
        """Builds and runs it undamaged, and takes its time."""
        if self.build_for(test, log) != 0:
            return False
        self.read_tests()
        begin = time.monotonic()
        passes = self.test(test, log) == 0
        self.time_outs[test] = max(LEAST_PATIENCE, PATIENCE * (time.monotonic() - begin))
        return passes

    def try_damage(self, damage):
        """What became of it: noticed, or a reason why not."""
        name, test, path = damage["name"], damage["noticed_by"], self.root / damage["file"]
        (self.logs / f"{name}.log").unlink(missing_ok=True)
        text, problem = place_of(damage, self.root)
        if problem:
            return problem
        whole = path.read_text()
        path.write_text(text)
        try:
            # Most is noticed by rows that must be safe: then the images of the controls need not be built.
            for controls in ([False, True] if test.startswith("guest ") else [True]):
                if self.build_for(test, name, controls) != 0:
                    return "noticed" if test == "compiler" else "it does not compile"
                status = self.test(test, name, controls, whole=False)
                if status != 0:
                    return "noticed, it hangs" if status is None else "noticed"
            return "survived"
        finally:
            path.write_text(whole)

    def files_of(self, test):
        """The files that it is made from, once it is built: what its programs are, and for a script all of them."""
        targets = self.targets(test)
        if not targets or targets == ["all"]:
            return sorted(self.names)
        inputs = {os.path.normpath(self.build / line.strip()) for line in self.ninja("inputs", *targets)}
        reads = False
        for line in self.ninja("deps"):
            if line[:1] not in ("", " "):
                reads = os.path.normpath(self.build / line.split(": #deps")[0]) in inputs
            elif reads and line.strip():
                inputs.add(os.path.normpath(self.build / line.strip()))
        inputs = {os.path.relpath(path, self.root) for path in inputs - self.generated}
        words = [test] if test.startswith("guest ") else self.tests[test].get("command", [])
        scripts = [word for word in words if word.endswith(".py")]
        of_scripts = {name for name in self.names if scripts and name.endswith(".py") and "damages/" not in name}
        folders = [os.path.relpath(os.path.dirname(script), self.root) + "/" for script in scripts]
        beside = {name for name in self.names if name.startswith(tuple(folders))}
        made = {name for name in inputs if (self.root / name).is_file() and name.startswith("build/")}
        return sorted(inputs & self.names | of_scripts | beside | made)

    def hash_of(self, test, files):
        """Of these files, of the commands that make its programs and run it, and of the compiler."""
        root = str(self.root).encode()
        total = hashlib.sha256(self.compiler)
        targets = self.targets(test)
        commands = self.ninja("commands", *targets) if targets else []
        # Links and compilations, each by what it says; not in which order.
        for line in sorted(commands):
            total.update(line.encode().replace(root, b"") + b"\n")
        about = {key: value for key, value in self.tests.get(test, {}).items() if key not in ("backtrace", "command")}
        total.update(json.dumps(about, sort_keys=True).encode().replace(root, b""))
        for name in files:
            path = self.root / name
            data = path.read_bytes().replace(root, b"") if path.is_file() else b"(gone)"
            total.update(f"{name}\0{sha(without_comments(name, data))}\n".encode())
        return total.hexdigest()
