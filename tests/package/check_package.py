#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library as it leaves this tree: installed, packaged, and built by others' build systems.

    check_package.py ROOT BUILD COMPILER WHAT...

WHAT: lists     the lists in the tree are those of the CMake files, and name every file
      language  a compiler that cannot read the headers says why in one error
      cmake     installed, found by find_package and linked into a kernel
      make      the same by make, from the tree and installed; as one relocatable object, too
      meson     the same by Meson, as a subproject
      bazel     the same by Bazel, as a local repository, where there is a Bazel
      package   CPack's Debian package, and pkg-config
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FLAGS = ["-mno-red-zone", "-mgeneral-regs-only", "-ffreestanding", "-fno-exceptions", "-fno-rtti"]
# What only tests use, beside what has _test in its name.
OF_TESTS = re.compile(r"_test\.|^platform/(fake|hosted)/|/test_objects/|/hosted_|/return_fidelity")
MODULES = ["trap", "context"]


class failure(Exception):
    pass


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, **more)
    if done.returncode != 0:
        raise failure(f"{' '.join(str(word) for word in command)}:\n{done.stdout}")
    return done.stdout


class package_test:
    def __init__(self, root, build, compiler, folder):
        self.root, self.build, self.compiler, self.folder = root, build, compiler, folder
        self.library = root / "nmisafe"
        self.modules = json.loads((build / "lists/sources.json").read_text())["modules"]
        self.prefix_ = None

    def prefix(self):
        if self.prefix_ is None:
            self.prefix_ = self.folder / "a prefix"
            run("cmake", "--install", self.build, "--prefix", self.prefix_)
        return self.prefix_

    def lists(self):
        for name in ("sources.json", "sources.mk", "meson.build", "sources.bzl"):
            if (self.library / name).read_text() != (self.build / "lists" / name).read_text():
                raise failure(f"nmisafe/{name} is not that of the CMake files: build the target source_lists")
        listed = {f"{name}/{file}" for name, module in self.modules.items()
                  for file in module["headers"] + module["sources"]}
        there = {str(path.relative_to(self.library)) for ending in ("hpp", "h", "cpp", "S")
                 for path in self.library.rglob(f"*.{ending}")}
        there = {name for name in there if not OF_TESTS.search(name)}
        if unlisted := there - listed:
            raise failure(f"no module lists {', '.join(sorted(unlisted))}")
        if missing := listed - there:
            raise failure(f"listed but not there: {', '.join(sorted(missing))}")
        version = json.loads((self.library / "sources.json").read_text())["version"]
        header = (self.library / "base/version.hpp").read_text()
        if ".".join(re.findall(r"VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header)) != version:
            raise failure(f"base/version.hpp is not of version {version}")
        if f"version: '{version}'" not in (self.root / "meson.build").read_text():
            raise failure(f"meson.build is not of version {version}")
        if f"\n## {version}" not in (self.root / "CHANGELOG.md").read_text():
            raise failure(f"CHANGELOG.md says nothing of {version}")

    def errors_of(self, header, *flags):
        done = subprocess.run([self.compiler, *flags, *FLAGS, f"-I{self.root}",
                               f"-I{self.root}/tests/consumer", "-x", "c++", "-fsyntax-only", "-"],
                              input=f'#include "nmisafe/{header}"\n', text=True,
                              stderr=subprocess.PIPE, check=False)
        return [line for line in done.stderr.splitlines() if "error:" in line]

    def language(self):
        headers = [f"{name}/{file}" for name, module in self.modules.items() for file in module["headers"]
                   if file.endswith(".hpp") and name not in ("user",)]
        refused = 0
        for header in headers:
            if "internal/" in header or "entry_calls" in header:
                continue
            found = self.errors_of(header, "-std=c++17")
            if len(found) > 1 or found and "nmisafe needs C++20" not in found[0]:
                raise failure(f"{header} with -std=c++17:\n" + "\n".join(found[:5]))
            refused += len(found)
            # The control: it is the standard that is refused, and nothing else.
            if found and "nmisafe needs" in "".join(self.errors_of(header, "-std=c++20")):
                raise failure(f"{header} is refused with -std=c++20 too")
        if refused < 30:
            raise failure(f"only {refused} headers were refused")
        found = self.errors_of("trap/trap.hpp", "-std=c++20", "-nostdinc++")
        if len(found) != 1 or "freestanding C++ headers" not in found[0]:
            raise failure("-nostdinc++:\n" + "\n".join(found[:5]))

    def is_kernel(self, path):
        symbols = run("nm", path)
        if "nmisafe_trap_dispatch" not in symbols or " U " in symbols:
            raise failure(f"{path} lacks the library, or something of it:\n{symbols}")

    def cmake(self):
        build = self.folder / "by cmake"
        run("cmake", "-S", self.root / "tests/consumer", "-B", build, "-G", "Ninja",
            f"-DCMAKE_CXX_COMPILER={self.compiler}", f"-DCMAKE_ASM_COMPILER={self.compiler}",
            f"-DCMAKE_PREFIX_PATH={self.prefix()}")
        kernels = [f"kernel_{width}_O2" for width in (64, 32)]
        run("cmake", "--build", build, "--target", *kernels)
        for kernel in kernels:
            self.is_kernel(build / kernel)
        version = self.folder / "version"
        version.mkdir()
        (version / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(asks LANGUAGES CXX ASM)\n"
            "find_package(nmisafe ${asked} REQUIRED COMPONENTS ${module})\n")
        for asked, module, works in (("0.1", "trap", True), ("0.0", "trap", False), ("99", "trap", False),
                                     ("0.1", "nothing", False)):
            done = subprocess.run(["cmake", "-S", version, "-B", version / f"{asked} {module}",
                                   f"-Dasked={asked}", f"-Dmodule={module}",
                                   f"-DCMAKE_PREFIX_PATH={self.prefix()}"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if (done.returncode == 0) != works:
                raise failure(f"find_package(nmisafe {asked} COMPONENTS {module}):\n{done.stdout.decode()}")

    def make(self):
        # make has no names with blanks.
        installed = self.folder / "prefix"
        run("cmake", "--install", self.build, "--prefix", installed)
        for place, library in (("tree", self.library), ("installed", installed / "share/nmisafe/nmisafe")):
            for width in (64, 32):
                build = self.folder / f"make-{place}-{width}"
                build.mkdir()
                variables = [f"{name}={value}" for name, value in (
                    ("CXX", self.compiler), ("NMISAFE", library), ("CONSUMER", self.root / "tests/consumer"),
                    ("WIDTH", width), ("BUILD", build), ("MODULES", " ".join(MODULES)))]
                makefile = self.root / "tests/package/Makefile"
                run("make", "-s", "-j2", "-f", makefile, *variables)
                self.is_kernel(build / "kernel")
                self.is_kernel(build / "kernel_of_parts")
                if "up to date" not in run("make", "-f", makefile, *variables, f"{build}/kernel"):
                    raise failure("make builds again what is built")
            if place == "tree":
                done = subprocess.run(["make", "-f", makefile, *variables[:-1], "MODULES=nothing"], text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
                if done.returncode == 0 or "nmisafe has no module nothing" not in done.stdout:
                    raise failure(f"a module that there is not:\n{done.stdout}")

    def meson(self):
        c_compiler = self.compiler.replace("clang++", "clang").replace("g++", "gcc")
        environment = {**os.environ, "CXX": self.compiler, "CC": c_compiler}
        for place, library in (("tree", self.root), ("installed", self.prefix() / "share/nmisafe")):
            kernel = self.folder / f"meson {place}"
            (kernel / "subprojects").mkdir(parents=True)
            (kernel / "subprojects/nmisafe").symlink_to(library)
            shutil.copy(self.root / "tests/package/meson.build", kernel)
            # In a folder of its own: the kernel in C has the library's.
            for folder, names in (("consumer", ("kernel.cpp", "nmisafe_platform.hpp")), ("c", ())):
                (kernel / folder).mkdir()
                for name in names:
                    shutil.copy(self.root / "tests/consumer" / name, kernel / folder)
            (kernel / "c/kernel.c").write_text('#include "nmisafe/c/nmisafe.h"\n'
                                               "uint32_t count(void) { return nmisafe_preempt_count(); }\n")
            run("meson", "setup", "--buildtype=plain", "build", cwd=kernel, env=environment)
            run("ninja", "-C", "build", cwd=kernel)
            for width in (64, 32):
                self.is_kernel(kernel / f"build/kernel_{width}")

    def bazel(self):
        # Others' own files ask for more, or for other rules, than what is given below.
        version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "bazel-bootstrap"], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
        if not version.startswith("4."):
            print(f"Debian's Bazel 4 is wanted, this is '{version}': skipped")
            sys.exit(77)
        rules = pathlib.Path("/usr/share/bazel/rules")
        missing = [name for name in ("java", "proto") if not (rules / name).is_dir()]
        if missing:
            print(f"Bazel's rules for {' and '.join(missing)} are missing: skipped")
            sys.exit(77)
        # Bazel has no names with blanks.
        kernel, installed = self.folder / "by_bazel", self.folder / "prefix"
        shutil.copytree(self.root / "tests/package/bazel", kernel)
        run("cmake", "--install", self.build, "--prefix", installed)
        (kernel / "library").symlink_to(installed / "share/nmisafe")
        (kernel / "contract").mkdir()
        shutil.copy(self.root / "tests/consumer/kernel.cpp", kernel)
        shutil.copy(self.root / "tests/consumer/nmisafe_platform.hpp", kernel / "contract")
        # What Bazel 4 asks for before it compiles any C++, and would download: Debian's, and for C++ its own rules.
        environment = {**os.environ, "CC": self.compiler.replace("clang++", "clang").replace("g++", "gcc")}
        run("bazel", "--batch", f"--output_user_root={self.folder}/bazel", "build", "--jobs=2",
            f"--override_repository=rules_cc={kernel}/rules_cc", f"--override_repository=rules_java={rules}/java",
            f"--override_repository=rules_proto={rules}/proto", "//:kernel", cwd=kernel, env=environment)
        self.is_kernel(kernel / "bazel-bin/kernel")
        for path in self.folder.glob("bazel/**/"):
            path.chmod(0o755)  # to be removed

    def package(self):
        build = self.folder / "packages"
        run("cpack", "--config", self.build / "CPackConfig.cmake", "-G", "DEB", "-B", build)
        (made,) = build.glob("*.deb")
        files = run("dpkg-deb", "--contents", made)
        for name in ("usr/share/nmisafe/nmisafe/trap/entry_x86_64.S", "usr/share/nmisafe/nmisafe/nmisafe.mk",
                     "usr/share/nmisafe/cmake/nmisafe-config.cmake", "usr/share/pkgconfig/nmisafe.pc",
                     "usr/share/doc/nmisafe/copyright"):
            if f"./{name}\n" not in files:
                raise failure(f"{made.name} lacks {name}:\n{files}")
        if "_test." in files or "/kernel/" in files:
            raise failure(f"{made.name} has what is not the library's:\n{files}")
        root = self.folder / "unpacked"
        run("dpkg-deb", "--extract", made, root)
        found = run("pkg-config", "--cflags", "nmisafe",
                    env={"PKG_CONFIG_PATH": f"{root}/usr/share/pkgconfig", "PATH": "/usr/bin:/bin"}).split()
        if len(found) != 1 or not (pathlib.Path(found[0][2:]) / "nmisafe/trap/trap.hpp").exists():
            raise failure(f"pkg-config --cflags: {found}")


def main():
    root, build = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as folder:
        test = package_test(root, build, sys.argv[3], pathlib.Path(folder))
        for what in sys.argv[4:]:
            try:
                getattr(test, what)()
            except failure as why:
                print(f"{what}: {why}")
                return 1
            print(f"{what}: right")
    return 0


sys.exit(main())
