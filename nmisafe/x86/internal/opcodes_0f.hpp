// SPDX-License-Identifier: MIT
/// The opcodes after 0f, 0f 38 and 0f 3a, in legacy encoding. [intel/vol2 tables; AMD's
/// own from amd/vol3 appendix A]
#pragma once

#include "nmisafe/x86/internal/opcode_row.hpp"

namespace nmisafe::x86::internal {

// clang-format off
inline constexpr opcode_row map_0f_rows[] = {
    {0x00, modrm | sys, from_to(0, 5)},           // sldt to verw
    {0x00, modrm | pf2 | only_64 | sys, only(6)}, // lkgs
    {0x01, memory | sys, only(0, 1, 2, 3, 4, 6, 7)}, // sgdt, sidt, lgdt, lidt, smsw, lmsw, invlpg
    {0x01, memory | pf3 | sys, only(5)},             // rstorssp
    {0x01, registers | np | vm, only(0), from_to(1, 4)}, // vmcall, vmlaunch, vmresume, vmxoff
    {0x01, registers | np | is(instruction_class::other_transfer), only(0), only(0)}, // enclv
    {0x01, registers | np | sys, only(0), only(5)},                                 // pconfig
    // wrmsrns, pbndkb; wrmsrlist, rdmsrlist
    {0x01, registers | np | sys, only(0), only(6)},
    {0x01, registers | np | only_64 | sys, only(0), only(7)},
    {0x01, registers | pf3 | pf2 | only_64 | sys, only(0), only(6)},
    {0x01, registers | np, only(1), only(0)},                                       // monitor
    {0x01, registers | np | is(instruction_class::halt), only(1), only(1)},         // mwait
    {0x01, registers | np | sys, only(1), only(2, 3)},                              // clac, stac
    {0x01, registers | np | is(instruction_class::other_transfer), only(1), only(7)}, // encls
    // FRED's eretu and erets; TDX's tdcall, seamret, seamops, seamcall
    {0x01, registers | pf3 | pf2 | only_64 | is(instruction_class::interrupt_return), only(1),
     only(2)},
    {0x01, registers | p66 | vm, only(1), only(4)},
    {0x01, registers | p66 | only_64 | vm, only(1), from_to(5, 7)},
    {0x01, registers | np | sys, only(2), only(0, 1)},                      // xgetbv, xsetbv
    {0x01, registers | np | vm, only(2), only(4)},                          // vmfunc
    {0x01, registers | np | is(instruction_class::transaction), only(2), only(5, 6)}, // xend, xtest
    {0x01, registers | np | is(instruction_class::other_transfer), only(2), only(7)}, // enclu
    {0x01, registers | np | vm, only(3)},                                   // SVM
    {0x01, registers | pf3 | pf2 | vm, only(3), only(1)},                   // vmgexit
    {0x01, registers | sys, only(4, 6)},                                    // smsw, lmsw
    {0x01, registers | np, only(5), only(0)},                               // serialize
    {0x01, registers | pf3 | sys, only(5), only(0, 2)},             // setssbsy, saveprevssp
    {0x01, registers | pf2 | is(instruction_class::transaction), only(5), only(0, 1)}, // tsxldtrk
    {0x01, registers | np | sys, only(5), only(6, 7)},              // rdpkru, wrpkru
    // uiret
    {0x01, registers | pf3 | only_64 | is(instruction_class::other_transfer), only(5), only(4)},
    {0x01, registers | pf3 | only_64 | sys, only(5), from_to(5, 7)}, // testui, clui, stui
    {0x01, registers | np | only_64 | sys, only(7), only(0)},        // swapgs
    {0x01, registers | np, only(7), only(1, 2, 4, 5)}, // rdtscp, monitorx, clzero, rdpru
    {0x01, registers | np | is(instruction_class::halt), only(7), only(3)}, // mwaitx
    {0x01, registers | pf3, only(7), only(2)},                              // mcommit
    {0x01, registers | pf3 | pf2 | only_64 | vm, only(7), only(5)},         // rmpquery, rmpread
    // invlpgb, tlbsync; rmpadjust, rmpupdate, psmash, pvalidate
    {0x01, registers | np | sys, only(7), only(6, 7)},
    {0x01, registers | pf3 | pf2 | vm, only(7), only(6, 7)},
    {{0x02, 0x03}, modrm}, // lar, lsl
    {0x05, is(instruction_class::system_call)}, {0x06, sys}, // syscall, clts
    {0x07, is(instruction_class::system_call)},             // sysret
    {{0x08, 0x09}, sys},                            // invd, wbinvd
    {0x0b, is(instruction_class::undefined)},       // ud2
    {0x0d, modrm},                                  // prefetchw
    {0x0e, no_rex2}, {0x0f, modrm | no_rex2 | with(immediate_kind::suffix_3dnow)}, // femms, 3DNow!
    {{0x10, 0x11}, modrm},
    {0x12, modrm | np | pf3 | pf2}, {0x12, memory | p66}, {0x13, memory | np | p66},
    {{0x14, 0x15}, modrm | np | p66},
    {0x16, modrm | np | pf3}, {0x16, memory | p66}, {0x17, memory | np | p66},
    {{0x18, 0x1b}, modrm},                                     // prefetch, nop; MPX, nop without it
    {{0x1c, 0x1d}, modrm},                                     // cldemote, nop
    {0x1e, registers | pf3 | sys, only(1)}, {0x1e, modrm},     // rdssp; endbr, nop
    {0x1f, modrm},                                             // nop
    {0x20, mod_ignored | control | sys}, {0x21, mod_ignored | low_reg | sys},
    {0x22, mod_ignored | control | sys}, {0x23, mod_ignored | low_reg | sys},
    {{0x28, 0x29}, modrm | np | p66}, {0x2a, modrm}, {0x2b, memory},
    {{0x2c, 0x2d}, modrm}, {{0x2e, 0x2f}, modrm | np | p66},
    {0x30, sys}, {0x31, 0}, {0x32, sys}, {0x33, 0},            // wrmsr, rdtsc, rdmsr, rdpmc
    {{0x34, 0x35}, is(instruction_class::system_call)},
    {0x37, np | is(instruction_class::other_transfer)},        // getsec
    {{0x40, 0x4f}, modrm},                                     // cmov
    {0x50, registers | np | p66}, {0x51, modrm}, {{0x52, 0x53}, modrm | np | pf3},
    {{0x54, 0x57}, modrm | np | p66}, {{0x58, 0x5a}, modrm}, {0x5b, modrm | np | p66 | pf3},
    {{0x5c, 0x5f}, modrm},
    {{0x60, 0x6b}, modrm | np | p66}, {{0x6c, 0x6d}, modrm | p66}, {0x6e, modrm | np | p66},
    {0x6f, modrm | np | p66 | pf3}, {0x70, modrm | imm8},
    {{0x71, 0x72}, registers | np | p66 | imm8, only(2, 4, 6)},
    {0x73, registers | np | p66 | imm8, only(2, 6)}, {0x73, registers | p66 | imm8, only(3, 7)},
    {{0x74, 0x76}, modrm | np | p66}, {0x77, np},
    {0x78, registers | p66 | imm16 | no_rex2, only(0)}, // extrq, insertq
    {0x78, registers | pf2 | imm16 | no_rex2},
    {{0x78, 0x79}, modrm | np | vm},                           // vmread, vmwrite
    {0x79, registers | p66 | pf2 | no_rex2},
    {{0x7c, 0x7d}, modrm | p66 | pf2}, {{0x7e, 0x7f}, modrm | np | p66 | pf3},
    {{0x80, 0x8f}, imm_z | is(instruction_class::jump_conditional)},
    {{0x90, 0x9f}, modrm},                                     // setcc
    {0xa0, 0}, {0xa1, sys}, {0xa2, 0}, {0xa3, modrm},          // push, pop fs, cpuid, bt
    {0xa4, modrm | imm8}, {0xa5, modrm},                       // shld
    {0xa6, registers | pf3, only(0, 1, 2), only(0)},           // PadLock: montmul, xsha
    {0xa7, registers, only(0), only(0)}, {0xa7, registers | pf3, from_to(1, 5), only(0)},
    {0xa8, 0}, {0xa9, sys}, {0xaa, is(instruction_class::other_transfer)}, // push, pop gs, rsm
    {0xab, modrm | lock}, {0xac, modrm | imm8}, {0xad, modrm}, // bts, shrd
    {0xae, memory | np | no_rex2, from_to(4, 6)}, {0xae, memory | np}, // xsave; fxsave to clflush
    {0xae, memory | p66, only(6, 7)},                          // clwb, clflushopt
    {0xae, memory | pf3, only(4)}, {0xae, memory | pf3 | sys, only(6)}, // ptwrite, clrssbsy
    {0xae, registers | np, from_to(5, 7)},                     // fences
    {0xae, registers | pf3 | only_64 | sys, from_to(0, 3)},    // rdfsbase to wrgsbase
    {0xae, registers | pf3, only(4)}, {0xae, registers | pf3 | sys, only(5)}, // ptwrite, incssp
    {0xae, registers | p66 | is(instruction_class::halt), only(6)}, // tpause
    {0xae, registers | pf3, only(6)},                          // umonitor
    {0xae, registers | pf2 | is(instruction_class::halt), only(6)}, // umwait
    {0xaf, modrm},                                             // imul
    {{0xb0, 0xb1}, modrm | lock},                              // cmpxchg
    {0xb2, memory | is(instruction_class::load_stack_segment)}, // lss
    {0xb3, modrm | lock}, {{0xb4, 0xb5}, memory | sys}, {{0xb6, 0xb7}, modrm}, // btr, lfs, movzx
    {0xb8, modrm | pf3}, {0xb9, modrm | is(instruction_class::undefined)}, // popcnt, ud1
    {0xba, modrm | imm8, only(4)}, {0xba, modrm | imm8 | lock, from_to(5, 7)}, // bt, bts...
    {0xbb, modrm | lock}, {{0xbc, 0xbf}, modrm},               // btc, bsf, movsx
    {{0xc0, 0xc1}, modrm | lock}, {0xc2, modrm | imm8}, {0xc3, memory | np}, // xadd, movnti
    {0xc4, modrm | np | p66 | imm8}, {0xc5, registers | np | p66 | imm8},
    {0xc6, modrm | np | p66 | imm8},
    {0xc7, memory | lock, only(1)}, // cmpxchg8b
    {0xc7, memory | np | no_rex2 | sys, from_to(3, 5)},        // xsaves
    {0xc7, memory | np | p66 | pf3 | vm, only(6)}, {0xc7, memory | np | vm, only(7)},
    {0xc7, registers | np | p66, from_to(6, 7)}, {0xc7, registers | pf3, only(7)}, // rdrand, rdpid
    {0xc7, registers | pf3 | only_64 | is(instruction_class::other_transfer), only(6)}, // senduipi
    {{0xc8, 0xcf}, 0},                                         // bswap
    {0xd0, modrm | p66 | pf2}, {{0xd1, 0xd5}, modrm | np | p66},
    {0xd6, modrm | p66}, {0xd6, registers | pf3 | pf2}, {0xd7, registers | np | p66},
    {{0xd8, 0xe5}, modrm | np | p66}, {0xe6, modrm | p66 | pf3 | pf2}, {0xe7, memory | np | p66},
    {{0xe8, 0xef}, modrm | np | p66}, {0xf0, memory | pf2}, {{0xf1, 0xf6}, modrm | np | p66},
    {0xf7, registers | np | p66}, {{0xf8, 0xfe}, modrm | np | p66},
};

inline constexpr opcode_row map_0f38_rows[] = {
    {{0x00, 0x0b}, modrm | np | p66}, {0x10, modrm | p66}, {{0x14, 0x15}, modrm | p66},
    {0x17, modrm | p66}, {{0x1c, 0x1e}, modrm | np | p66}, {{0x20, 0x25}, modrm | p66},
    {{0x28, 0x29}, modrm | p66}, {0x2a, memory | p66}, {0x2b, modrm | p66},
    {{0x30, 0x35}, modrm | p66}, {{0x37, 0x41}, modrm | p66},
    {{0x80, 0x81}, memory | p66 | vm}, {0x82, memory | p66 | sys}, // invept, invvpid, invpcid
    {{0xc8, 0xcd}, modrm | np}, {0xcf, modrm | p66},               // SHA, GFNI
    {0xd8, memory | pf3, from_to(0, 3)},                           // Key Locker
    {{0xdb, 0xdf}, modrm | p66},                                   // AES
    {0xdc, modrm | pf3}, {{0xdd, 0xdf}, memory | pf3},             // Key Locker
    {{0xf0, 0xf1}, memory | np | p66}, {{0xf0, 0xf1}, modrm | pf2}, // movbe, crc32
    {0xf5, memory | p66 | sys}, {0xf6, memory | np | sys},         // wruss, wrss
    {0xf6, modrm | p66 | pf3},                                     // adcx, adox
    {0xf8, memory | p66 | pf3 | pf2}, // movdir64b, enqcmd
    {0xf8, registers | pf3 | pf2 | only_64 | sys},                 // uwrmsr, urdmsr
    {0xf9, memory | np},                                           // movdiri
    {{0xfa, 0xfb}, registers | pf3}, {0xfc, memory},               // encodekey; aadd and the like
};

inline constexpr opcode_row map_0f3a_rows[] = {
    {{0x08, 0x0e}, modrm | p66 | imm8}, {0x0f, modrm | np | p66 | imm8},
    {{0x14, 0x17}, modrm | p66 | imm8}, {{0x20, 0x22}, modrm | p66 | imm8},
    {{0x40, 0x42}, modrm | p66 | imm8}, {0x44, modrm | p66 | imm8},
    {{0x60, 0x63}, modrm | p66 | imm8}, {0xcc, modrm | np | imm8},
    {{0xce, 0xcf}, modrm | p66 | imm8}, {0xdf, modrm | p66 | imm8},
    {0xf0, registers | pf3 | imm8, only(0), only(0)}, // hreset
};
// clang-format on

} // namespace nmisafe::x86::internal
