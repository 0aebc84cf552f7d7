// SPDX-License-Identifier: MIT
// The entries of the tables of sites, as text for the assembler: for C++ (immediate/x86/record.hpp,
// marker/x86/record.hpp, which say why they are as they are) and C (c/immediate.h, c/marker.h).
#ifndef NMISAFE_BASE_SITE_RECORD_H
#define NMISAFE_BASE_SITE_RECORD_H

#include "nmisafe/base/symbol_operand.hpp"

// An instruction that reads an immediate value, whose key is the operand [key]. %= is unique for each copy of
// the asm.
#define NMISAFE_IMMEDIATE_SITE(instruction, target, kind)                                          \
    ".Lnmisafe_immediate%=:\n\t" instruction "\n"                                                  \
    ".Lnmisafe_immediate_end%=:\n\t"                                                               \
    ".pushsection nmisafe_immediate_sites, \"ao?\", @progbits, .Lnmisafe_immediate%=\n\t"          \
    ".balign 4\n\t"                                                                                \
    ".long .Lnmisafe_immediate%= - .\n\t"                                                          \
    ".long " NMISAFE_SYMBOL "[key] - .\n\t"                                                        \
    ".long " target "\n\t"                                                                         \
    ".byte .Lnmisafe_immediate_end%= - .Lnmisafe_immediate%=, " kind ", 0, 0\n\t"                  \
    ".popsection"

// The NOP of a branch that is not taken until its key says so.
#define NMISAFE_IMMEDIATE_NOP ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00"

// A marker, by its symbol. `owner`: what the entry lives and dies with.
#define NMISAFE_MARKER_ENTRY(flags, symbol, owner)                                                 \
    ".pushsection nmisafe_markers, \"" flags "\", @progbits, " owner "\n\t"                        \
    ".balign 4\n\t"                                                                                \
    ".long " symbol " - .\n\t"                                                                     \
    ".popsection"

#endif
