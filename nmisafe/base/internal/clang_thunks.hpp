// SPDX-License-Identifier: MIT
// clang's own calls, of which no attribute rids a function and no macro tells.
//
// -mretpoline, -mlvi-cfi, -mspeculative-load-hardening and the outliner each make functions of
// their own beside the file's. Their names are taken here, so a file that needs one does not
// compile: "symbol '__llvm_retpoline_r11' is already defined".
//
// With -mretpoline-external-thunk the names belong to nobody yet: each file has such thunks of its
// own, in the section.
//
// .ifndef: link-time optimisation makes one file of several.
#pragma once

#define NMISAFE_TAKE_NAME(name) ".ifndef " name "\n" name ":\n.endif\n"

// clang-format would indent each string by the one before.
// clang-format off

/// Jumps to where the register says, in a way that the CPU cannot predict.
#define NMISAFE_RETPOLINE(register, sp)                                                            \
    ".ifndef __x86_indirect_thunk_" register "\n"                                                  \
    "__x86_indirect_thunk_" register ":\n\t"                                                       \
    "call 2f\n"                                                                                    \
    "1:\tpause\n\t"                                                                                \
    "lfence\n\t"                                                                                   \
    "jmp 1b\n"                                                                                     \
    "2:\tmov %" register ", (%" sp ")\n\t"                                                         \
    "ret\n"                                                                                        \
    ".endif\n"

// The names stand where they take no room and no address.
asm(".pushsection .comment, \"MS\", @progbits, 1\n" //
    NMISAFE_TAKE_NAME("OUTLINED_FUNCTION_0")
#ifdef __x86_64__
        NMISAFE_TAKE_NAME("__llvm_retpoline_r11") NMISAFE_TAKE_NAME("__llvm_lvi_thunk_r11")
#else
        NMISAFE_TAKE_NAME("__llvm_retpoline_eax") NMISAFE_TAKE_NAME("__llvm_retpoline_ecx")
            NMISAFE_TAKE_NAME("__llvm_retpoline_edx") NMISAFE_TAKE_NAME("__llvm_retpoline_edi")
                NMISAFE_TAKE_NAME("__llvm_lvi_thunk_r11")
#endif
    ".popsection\n"
    ".pushsection nmisafe_trap_text, \"ax\", @progbits\n"
#ifdef __x86_64__
    NMISAFE_RETPOLINE("r11", "rsp")
#else
    NMISAFE_RETPOLINE("eax", "esp") NMISAFE_RETPOLINE("ecx", "esp") NMISAFE_RETPOLINE("edx", "esp")
        NMISAFE_RETPOLINE("edi", "esp")
#endif
    ".popsection");
// clang-format on

#undef NMISAFE_TAKE_NAME
#undef NMISAFE_RETPOLINE
