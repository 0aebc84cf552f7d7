# SPDX-License-Identifier: MIT
"""What kernels are compiled with, and what becomes of it. docs/compilers.md says it in words."""

import dataclasses

GCC, CLANG = "g++", "clang"

# What each set has beside its own flags. No -fno-stack-protector: Debian's compilers have none by
# default, and a set asks for it.
BASE = ("-std=c++20 -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics -mno-red-zone "
        "-mgeneral-regs-only").split()

# The project's own warnings, and those that kernels and careful C++ projects add.
WARNINGS = ("-Werror -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast "
            "-Wcast-qual -Wcast-align -Wundef -Wnon-virtual-dtor -Woverloaded-virtual -Weffc++ "
            "-Wswitch-enum -Wmissing-declarations -Wredundant-decls -Wpointer-arith -Wwrite-strings "
            "-Wformat=2 -Wnull-dereference -Wdouble-promotion -Wextra-semi -Wvla -Wfloat-equal "
            "-Wzero-as-null-pointer-constant -Wunused-macros -Wframe-larger-than=1024").split()
GCC_WARNINGS = "-Wduplicated-cond -Wlogical-op -Wsuggest-override -Wstrict-null-sentinel".split()
CLANG_WARNINGS = "-Wmissing-prototypes -Wmissing-variable-declarations -Wimplicit-fallthrough".split()


@dataclasses.dataclass(frozen=True)
class FlagSet:
    name: str
    flags: str
    compilers: tuple = (GCC, CLANG)
    widths: tuple = (64, 32)
    oldest_clang: int = 14
    # True: every module. False: those that have trap text, and the embedder.
    every_module: bool = False
    # True: each source by itself. False: all as one (check_flags.py), which shows as much of a compiler's own doing.
    each_alone: bool = False
    # A regular expression in the compiler's error: refused, which is right too. None: must be clean.
    refused: str = None
    # Whether it must be refused, or may also be clean, depending on the code.
    must_be_refused: bool = True
    # In the full run only.
    only_in_full: bool = False
    # Nothing but a level: in the full run only with clang 16, between an older and a newer clang.
    is_plain: bool = False

    def applies_to(self, family, version, width, full):
        if not full and (self.only_in_full or self.is_plain and family == CLANG and version == 16):
            return False
        return (family in self.compilers and width in self.widths and
                (family != CLANG or version >= self.oldest_clang))


def in_share(one, every, version, width):
    """Whether this one is in a share of all. Where several versions of a compiler are tried: each set with each version
    for one width, and for each width with one of two versions, the odd and the even. What a set adds to a function is
    the version's doing, and the same for both widths but for how it is called."""
    widths = {width for other in every if other.name == one.name for width in other.widths}
    names = list(dict.fromkeys(other.name for other in every))
    always = one.each_alone or one.name == "O0" or len(widths) == 1
    return always or (names.index(one.name) + version + (width == 32)) % 2 == 0


def taken(name):
    return rf"symbol '{name}' is already defined"


def sets(family):
    warnings = " ".join(WARNINGS + (GCC_WARNINGS if family == GCC else CLANG_WARNINGS))
    thunks = "-fno-pic -O2 -mindirect-branch={0} -mfunction-return={0} -mindirect-branch-register"
    sanitizers = "-fsanitize=kernel-address,undefined -fsanitize-coverage=trace-pc,trace-cmp"
    call_out = ("--param asan-instrumentation-with-call-threshold=0" if family == GCC else
                "-mllvm -asan-instrumentation-with-call-threshold=0")
    tracers = "-pg -mfentry -fstack-protector-all -fpatchable-function-entry=8,4"
    hooks = "-finstrument-functions -fstack-protector-strong"
    every = [
        FlagSet("O0", f"-fno-pic -O0 {warnings}", every_module=True, is_plain=True),
        FlagSet("O2", f"-fno-pic -O2 {warnings}", every_module=True, each_alone=True, is_plain=True),
        FlagSet("O1", "-fno-pic -O1", is_plain=True),
        FlagSet("O3", "-fno-pic -O3", is_plain=True),
        FlagSet("Os", "-fno-pic -Os", is_plain=True),
        FlagSet("Oz", "-fno-pic -Oz", is_plain=True),
        FlagSet("lto", "-fno-pic -O2 -flto", every_module=True, is_plain=True),
        FlagSet("pie", "-fpie -O2", widths=(64,)),
        FlagSet("pie", "-fpie -O2", (CLANG,), widths=(32,)),
        FlagSet("pie", "-fpie -O2", (GCC,), widths=(32,), refused=r"-m32 -fpie (knows|calls) .*__x86\.get_pc_thunk"),
        FlagSet("large", "-fno-pic -O2 -mcmodel=large", widths=(64,)),
        FlagSet("large-pie", "-fpie -O2 -mcmodel=large", (CLANG,), widths=(64,)),
        FlagSet("large-pie", "-fpie -O2 -mcmodel=large", (GCC,), widths=(64,),
                refused=r"-fpie -mcmodel=large has no constant addresses"),
        FlagSet("cet", "-fno-pic -O2 -fcf-protection=full"),
        FlagSet("shadow-stack", "-fno-pic -O2 -fcf-protection=full -DNMISAFE_SHADOW_STACK", widths=(64,)),
        FlagSet("shadow-stack", "-fno-pic -O2 -DNMISAFE_SHADOW_STACK", widths=(32,),
                refused="shadow stacks are supported on x86-64 only"),
        FlagSet("isolation", "-fno-pic -O2 -DNMISAFE_PAGE_TABLE_ISOLATION -DNMISAFE_USER_CLAC -DNMISAFE_FSGSBASE",
                widths=(64,)),
        FlagSet("isolation-shadow-stack",
                "-fno-pic -O2 -fcf-protection=full -DNMISAFE_PAGE_TABLE_ISOLATION -DNMISAFE_SHADOW_STACK", widths=(64,)),
        FlagSet("isolation", "-fno-pic -O2 -DNMISAFE_PAGE_TABLE_ISOLATION -DNMISAFE_USER_CLAC", widths=(32,)),
        FlagSet("thunks", thunks.format("thunk"), (GCC,), only_in_full=True),
        FlagSet("thunks-extern", thunks.format("thunk-extern") + " -fcf-protection=none", (GCC,)),
        FlagSet("return-thunks", "-fno-pic -O2 -mfunction-return=thunk-extern", (CLANG,),
                oldest_clang=16),
        FlagSet("retpoline-extern", "-fno-pic -O2 -mretpoline -mretpoline-external-thunk", (CLANG,)),
        FlagSet("retpoline", "-fno-pic -O2 -mretpoline", (CLANG,),
                refused=taken(r"__llvm_retpoline_(r11|e..)")),
        FlagSet("lvi", "-fno-pic -O2 -mlvi-cfi", (CLANG,), widths=(64,),
                refused=taken("__llvm_lvi_thunk_r11"), only_in_full=True),
        FlagSet("load-hardening", "-fno-pic -O2 -mspeculative-load-hardening", (CLANG,), widths=(64,),
                refused=taken("__llvm_retpoline_r11"), only_in_full=True),
        FlagSet("outliner", "-fno-pic -Oz -mllvm -enable-machine-outliner=always", (CLANG,),
                refused=taken("OUTLINED_FUNCTION_0"), must_be_refused=False),
        FlagSet("thread-sanitizer", "-fno-pic -O2 -fsanitize=thread", widths=(64,)),
        FlagSet("memory-sanitizer", "-fno-pic -O2 -fsanitize=kernel-memory", (CLANG,), widths=(64,),
                only_in_full=True),
        FlagSet("coverage", "-fno-pic -O2 -fprofile-arcs -ftest-coverage"),
        FlagSet("profile", "-fno-pic -O2 -fprofile-generate", only_in_full=True),
        FlagSet("coverage-O0", "-fno-pic -O0 -fprofile-arcs", (CLANG,), only_in_full=True),
        FlagSet("coverage-O0", "-fno-pic -O0 -fprofile-arcs", (GCC,),
                refused="inlining failed in call to .always_inline."),
        FlagSet("regparm", "-fno-pic -O2 -mregparm=3", widths=(32,)),
        FlagSet("rtd", "-fno-pic -O2 -mrtd", widths=(32,)),
        FlagSet("ms", "-fno-pic -O2 -mabi=ms", (GCC,), widths=(64,)),
    ]
    for level in (0, 2):
        every += [
            FlagSet(f"sanitizers-O{level}", f"-fno-pic -O{level} {sanitizers}"),
            FlagSet(f"tracers-O{level}", f"-fno-pic -O{level} {tracers}"),
            FlagSet(f"hooks-O{level}", f"-fno-pic -O{level} {hooks}"),
            FlagSet(f"outlined-sanitizers-O{level}", f"-fno-pic -O{level} {sanitizers} {call_out}",
                    only_in_full=True),
        ]
    for level in ("1", "3", "s", "z"):
        every.append(FlagSet(f"every-O{level}", f"-fno-pic -O{level} {warnings}", every_module=True,
                             only_in_full=True))
    return every
