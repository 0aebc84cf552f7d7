#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The macros of the return alone in every form that an embedder may write them in give the same code, on both
widths, in a C file too; other frames and returns assemble; and return_check.h is C11. The control: in a text that is Intel's, without saying so, what follows fails.

    check_forms.py ROOT COMPILER
"""

import pathlib
import subprocess
import sys
import tempfile

# Calls that give other code, in the form "names" alone.
OTHERS = ("frame=16", "form=far", "debug_control=none", "form=far, frame=8, debug_control=some_word")
CALLS = ("return_alone iret_label, shadowed_label, 0, near, dr7{}", "save_cr2_and_dr7_alone{}",
         "restore_cr2_and_dr7_alone{}", "leave_interrupt_shadow_alone shadowed_label, 0{}")
BY_NAME = "return_alone iret=iret_label, shadowed=shadowed_label{}"
INTEL = ".intel_syntax noprefix"

# Name: what stands first, how the caller's syntax is said, and the instruction behind, in that syntax.
FORMS = {
    "names": ("", None, "xor %ecx, %eax"),
    "position": ("", "", "xor %ecx, %eax"),
    "unwind": ("", "", "xor %ecx, %eax"),
    "altmacro": (".altmacro", "att, 1", "xor %ecx, %eax"),
    "intel": (INTEL, "intel", "xor eax, ecx"),
    "intel altmacro": (INTEL + "\n.altmacro", "intel, 1", "xor eax, ecx"),
}


def text(name, before, said, behind):
    calls = list(CALLS)
    if said is None:
        calls[0], said = BY_NAME, ""
    lines = []
    for call in calls:
        separator = ", " if " " in call else " "
        lines.append(call.format(separator + said if said else ""))
    body = "\n".join([before, "iret_label:", *lines, behind, ""])
    if name == "unwind":
        return ("#define NMISAFE_RETURN_CFI\n#include \"nmisafe/trap/return_alone.h\"\n.text\n"
                ".cfi_startproc\n" + body + ".cfi_endproc\n")
    return '#include "nmisafe/trap/return_alone.h"\n.text\n' + body


def in_c(folder, root, compiler, width):
    """The same in a C file, with what the preprocessor makes of the header."""
    subprocess.run([compiler, f"-m{width}", "-E", "-P", "-x", "assembler-with-cpp", f"-I{root}",
                    root / "nmisafe/trap/return_alone.h", "-o", "return_alone.inc"], cwd=folder, check=True)
    lines = ['.include \\"return_alone.inc\\"', ".text", *text("names", *FORMS["names"]).splitlines()[2:]]
    (folder / "a.c").write_text("".join(f'__asm__("{line}");\n' for line in lines))
    return compile_text(folder, [compiler, "-x", "c", f"-m{width}", "-O1", "-c", "a.c"])  # clang -O0: long jumps


def assemble(folder, root, compiler, width, source):
    """The code, or None if it is refused."""
    (folder / "a.S").write_text(source)
    return compile_text(folder, [compiler, f"-m{width}", f"-I{root}", "-c", "a.S"])


def compile_text(folder, command):
    if subprocess.run([*command, "-o", "a.o"], cwd=folder, capture_output=True, check=False).returncode != 0:
        return None
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", "a.o", "a.bin"], cwd=folder, check=True)
    return (folder / "a.bin").read_bytes()


def main():
    root, compiler = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    failures = []
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        for width in (64, 32):
            codes = {name: assemble(folder, root, compiler, width, text(name, *form))
                     for name, form in FORMS.items()}
            codes["in C"] = in_c(folder, root, compiler, width)
            for other in OTHERS:
                call = f"return_alone iret=iret_label, shadowed=shadowed_label, {other}"
                code = assemble(folder, root, compiler, width,
                                f'#include "nmisafe/trap/return_alone.h"\n.text\niret_label: {call}\n')
                if not code or code in codes["names"]:
                    failures.append(f"{width} bits: '{other}' is refused, or changes nothing")
            for name, code in codes.items():
                if not code or code != codes["names"]:
                    failures.append(f"{width} bits: '{name}' gives other code, or none")
            control = text("intel", INTEL, "", "xor eax, ecx")
            if assemble(folder, root, compiler, width, control) == codes["names"]:
                failures.append(f"{width} bits: the control passes")
            (folder / "a.c").write_text('#include "nmisafe/trap/return_check.h"\n'
                                        "unsigned (*f)(struct nmisafe_return_check*) = nmisafe_return_check_in_nmi;\n"
                                        "unsigned (*g)(struct nmisafe_return_check*) = nmisafe_return_check_run;\n")
            done = subprocess.run([compiler, "-x", "c", "-std=c11", f"-m{width}", f"-I{root}", "-Wall", "-Wextra",
                                   "-Werror", "-ffreestanding", "-O2", "-mno-red-zone", "-mgeneral-regs-only",
                                   "-c", "a.c", "-o", "c.o"], cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                failures.append(f"{width} bits: return_check.h in C11: {done.stderr}")
    print("\n".join(failures) or "all forms give the same code")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
