// SPDX-License-Identifier: MIT
// Which system instructions can be copied: those after which the slot's INT3 works as before, and
// that mean the same at another address.
//
// Left out is what changes what a trap stands on: the GS base and the FS base (by which a kernel
// may find its CPU's data), segment registers, descriptor tables, paging and CR2, debug registers,
// WRMSR (it may be any of those), the shadow stack pointer; INVD, which forgets what the handlers
// have written; and what goes elsewhere, or changes what memory is: VM entries and exits, VMLOAD,
// VMFUNC, PCONFIG, SEV-SNP's page states. [intel/vol2, the instructions' pages]
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/instruction.hpp"

namespace nmisafe::kprobe::internal {

constexpr bool is_one_of(unsigned number, unsigned set) {
    return (set >> number & 1) != 0;
}

/// 0f 01 with a memory operand: sgdt, sidt, smsw, lmsw (TS, EM and MP: no handler uses the FPU) and
/// invlpg.
constexpr bool group_7_memory(const x86::instruction& what) {
    return is_one_of(what.reg(), 1 << 0 | 1 << 1 | 1 << 4 | 1 << 6 | 1 << 7) &&
           what.kind == x86::instruction_class::system;
}

/// 0f 01 without one.
constexpr bool group_7_register(const x86::instruction& what) {
    if (what.reg() == 4 || what.reg() == 6) // smsw, lmsw
        return true;
    switch (what.modrm) {
    case 0xc6: // rdmsrlist
        return what.has(x86::prefix::repeat_not_equal);
    case 0xca: // clac, stac: AC is a flag like others; FRED's returns are of another class
    case 0xcb:
    case 0xd0: // xgetbv, xsetbv: no handler has any of that state
    case 0xd1:
    case 0xdb: // vmsave
    case 0xdc: // stgi, clgi: an INT3 is no interrupt
    case 0xdd:
    case 0xdf: // invlpga
    case 0xed: // testui, clui, stui: user interrupts come in user mode only
    case 0xee: // rdpkru, wrpkru: keys are of user pages
    case 0xef:
        return true;
    case 0xfe: // invlpgb, tlbsync
    case 0xff:
        return (what.prefixes & (x86::prefix::repeat | x86::prefix::repeat_not_equal)) == 0;
    default:
        return false;
    }
}

constexpr bool map_0f_leaves_traps_alone(const x86::instruction& what) {
    constexpr uint8_t rex_r = 4;
    switch (what.opcode) {
    case 0x00: // sldt, str, verr, verw
        return is_one_of(what.reg(), 1 << 0 | 1 << 1 | 1 << 4 | 1 << 5);
    case 0x01:
        return what.mod() != 3 ? group_7_memory(what) : group_7_register(what);
    case 0x22: // mov to CR8, the task priority
        return what.reg() == 0 && (what.rex & rex_r) != 0;
    case 0x06: // clts
    case 0x09: // wbinvd, wbnoinvd
    case 0x1e: // rdssp
    case 0x20: // mov from CR
    case 0x21: // mov from DR
    case 0x32: // rdmsr
    case 0x78: // vmread
    case 0x79: // vmwrite
        return true;
    case 0xae: // rdfsbase, rdgsbase
        return what.mod() == 3 && what.reg() <= 1;
    case 0xc7: // xrstors, xsavec, xsaves; vmptrld, vmclear, vmxon; vmptrst
        return what.mod() != 3 && what.reg() >= 3;
    default:
        return false;
    }
}

/// Of the classes system and virtual_machine.
/// @context any
constexpr bool leaves_traps_alone(const x86::instruction& what) {
    if (what.form != x86::encoding::legacy && what.form != x86::encoding::rex2)
        return false;
    if (what.map == x86::opcode_map::map_0f)
        return map_0f_leaves_traps_alone(what);
    // invept, invvpid, invpcid; wruss, wrss: stores to memory that is a shadow stack
    return what.map == x86::opcode_map::map_0f38 && ((what.opcode >= 0x80 && what.opcode <= 0x82) ||
                                                     what.opcode == 0xf5 || what.opcode == 0xf6);
}

} // namespace nmisafe::kprobe::internal
