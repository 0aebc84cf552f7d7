// SPDX-License-Identifier: MIT
// By mnemonic, so that it shares nothing with the decoder's tables, which go by opcode.
#include "tests/decoder/expected_class.hpp"

namespace decoder_test {

using nmisafe::x86::instruction_class;

namespace {

bool is_far(const ZydisDecodedInstruction& theirs) {
    return theirs.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
}

instruction_class jump_or_call(const ZydisDecodedInstruction& theirs, instruction_class relative,
                               instruction_class indirect) {
    if (is_far(theirs))
        return instruction_class::far_branch;
    return theirs.raw.imm[0].is_relative ? relative : indirect;
}

/// Loads of the stack segment have mnemonics that they share with harmless instructions.
bool loads_ss(const ZydisDecodedInstruction& theirs) {
    if (theirs.mnemonic == ZYDIS_MNEMONIC_LSS)
        return true;
    if (theirs.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
        return false;
    return (theirs.mnemonic == ZYDIS_MNEMONIC_MOV && theirs.opcode == 0x8e &&
            theirs.raw.modrm.reg == 2) ||
           (theirs.mnemonic == ZYDIS_MNEMONIC_POP && theirs.opcode == 0x17);
}

bool moves_system_register(const ZydisDecodedInstruction& theirs) {
    if (theirs.mnemonic == ZYDIS_MNEMONIC_MOV)
        return theirs.opcode_map == ZYDIS_OPCODE_MAP_0F // control and debug registers
               || (theirs.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && theirs.opcode == 0x8e);
    if (theirs.mnemonic == ZYDIS_MNEMONIC_POP)
        return theirs.opcode_map == ZYDIS_OPCODE_MAP_0F || theirs.opcode == 0x07 ||
               theirs.opcode == 0x1f;
    return false;
}

bool has_repeat_prefix(const ZydisDecodedInstruction& theirs) {
    for (unsigned i = 0; i < theirs.raw.prefix_count; ++i)
        if (theirs.raw.prefixes[i].value == 0xf2 || theirs.raw.prefixes[i].value == 0xf3)
            return true;
    return false;
}

} // namespace

instruction_class expected_class(const ZydisDecodedInstruction& theirs) {
    if (loads_ss(theirs))
        return instruction_class::load_stack_segment;
    if (moves_system_register(theirs))
        return instruction_class::system;
    switch (theirs.mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
        return jump_or_call(theirs, instruction_class::jump_relative,
                            instruction_class::jump_indirect);
    case ZYDIS_MNEMONIC_CALL:
        return jump_or_call(theirs, instruction_class::call_relative,
                            instruction_class::call_indirect);
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
        return instruction_class::loop;
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
        return instruction_class::jump_cx_zero;
    case ZYDIS_MNEMONIC_RET:
        return is_far(theirs) ? instruction_class::return_far : instruction_class::return_near;
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
        return instruction_class::interrupt_return;
    case ZYDIS_MNEMONIC_INT3:
        return instruction_class::breakpoint;
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INTO:
        return instruction_class::software_interrupt;
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
        return instruction_class::undefined;
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
        return instruction_class::push_flags;
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
        return instruction_class::pop_flags;
    case ZYDIS_MNEMONIC_CLI:
        return instruction_class::disable_interrupts;
    case ZYDIS_MNEMONIC_STI:
        return instruction_class::enable_interrupts;
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_MWAIT:
    case ZYDIS_MNEMONIC_MWAITX:
    case ZYDIS_MNEMONIC_TPAUSE:
    case ZYDIS_MNEMONIC_UMWAIT:
        return instruction_class::halt;
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_SYSEXIT:
        return instruction_class::system_call;
    case ZYDIS_MNEMONIC_RSM:
    case ZYDIS_MNEMONIC_GETSEC:
    case ZYDIS_MNEMONIC_ENCLS:
    case ZYDIS_MNEMONIC_ENCLU:
    case ZYDIS_MNEMONIC_ENCLV:
    case ZYDIS_MNEMONIC_UIRET:
    case ZYDIS_MNEMONIC_SENDUIPI:
        return instruction_class::other_transfer;
    case ZYDIS_MNEMONIC_VMCALL:
    case ZYDIS_MNEMONIC_VMLAUNCH:
    case ZYDIS_MNEMONIC_VMRESUME:
    case ZYDIS_MNEMONIC_VMXOFF:
    case ZYDIS_MNEMONIC_VMXON:
    case ZYDIS_MNEMONIC_VMFUNC:
    case ZYDIS_MNEMONIC_VMPTRLD:
    case ZYDIS_MNEMONIC_VMPTRST:
    case ZYDIS_MNEMONIC_VMCLEAR:
    case ZYDIS_MNEMONIC_VMREAD:
    case ZYDIS_MNEMONIC_VMWRITE:
    case ZYDIS_MNEMONIC_VMRUN:
    case ZYDIS_MNEMONIC_VMMCALL:
    case ZYDIS_MNEMONIC_VMLOAD:
    case ZYDIS_MNEMONIC_VMSAVE:
    case ZYDIS_MNEMONIC_STGI:
    case ZYDIS_MNEMONIC_CLGI:
    case ZYDIS_MNEMONIC_SKINIT:
    case ZYDIS_MNEMONIC_INVLPGA:
    case ZYDIS_MNEMONIC_INVEPT:
    case ZYDIS_MNEMONIC_INVVPID:
        return instruction_class::virtual_machine;
    case ZYDIS_MNEMONIC_RDPRU: // with F3 or F2 these are RMPQUERY and RMPREAD, which it does not
                               // know
        return has_repeat_prefix(theirs) ? instruction_class::virtual_machine
                                         : instruction_class::ordinary;
    case ZYDIS_MNEMONIC_TDCALL:
    case ZYDIS_MNEMONIC_SEAMCALL:
    case ZYDIS_MNEMONIC_SEAMOPS:
    case ZYDIS_MNEMONIC_SEAMRET:
    case ZYDIS_MNEMONIC_PSMASH:
    case ZYDIS_MNEMONIC_PVALIDATE:
    case ZYDIS_MNEMONIC_RMPADJUST:
    case ZYDIS_MNEMONIC_RMPUPDATE:
        return instruction_class::virtual_machine;
    case ZYDIS_MNEMONIC_XBEGIN:
    case ZYDIS_MNEMONIC_XABORT:
    case ZYDIS_MNEMONIC_XEND:
    case ZYDIS_MNEMONIC_XTEST:
    case ZYDIS_MNEMONIC_XSUSLDTRK:
    case ZYDIS_MNEMONIC_XRESLDTRK:
        return instruction_class::transaction;
    case ZYDIS_MNEMONIC_IN:
    case ZYDIS_MNEMONIC_OUT:
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD:
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD:
        return instruction_class::port_io;
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
    case ZYDIS_MNEMONIC_SLDT:
    case ZYDIS_MNEMONIC_STR:
    case ZYDIS_MNEMONIC_LLDT:
    case ZYDIS_MNEMONIC_LTR:
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW:
    case ZYDIS_MNEMONIC_SGDT:
    case ZYDIS_MNEMONIC_SIDT:
    case ZYDIS_MNEMONIC_LGDT:
    case ZYDIS_MNEMONIC_LIDT:
    case ZYDIS_MNEMONIC_SMSW:
    case ZYDIS_MNEMONIC_LMSW:
    case ZYDIS_MNEMONIC_INVLPG:
    case ZYDIS_MNEMONIC_INVPCID:
    case ZYDIS_MNEMONIC_INVLPGB:
    case ZYDIS_MNEMONIC_TLBSYNC:
    case ZYDIS_MNEMONIC_INVD:
    case ZYDIS_MNEMONIC_WBINVD:
    case ZYDIS_MNEMONIC_CLTS:
    case ZYDIS_MNEMONIC_CLAC:
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_PCONFIG:
    case ZYDIS_MNEMONIC_XGETBV:
    case ZYDIS_MNEMONIC_XSETBV:
    case ZYDIS_MNEMONIC_RDPKRU:
    case ZYDIS_MNEMONIC_WRPKRU:
    case ZYDIS_MNEMONIC_TESTUI:
    case ZYDIS_MNEMONIC_CLUI:
    case ZYDIS_MNEMONIC_STUI:
    case ZYDIS_MNEMONIC_SWAPGS:
    case ZYDIS_MNEMONIC_RDMSR:
    case ZYDIS_MNEMONIC_WRMSR:
    case ZYDIS_MNEMONIC_RDFSBASE:
    case ZYDIS_MNEMONIC_RDGSBASE:
    case ZYDIS_MNEMONIC_WRFSBASE:
    case ZYDIS_MNEMONIC_WRGSBASE:
    case ZYDIS_MNEMONIC_XSAVES:
    case ZYDIS_MNEMONIC_XSAVES64:
    case ZYDIS_MNEMONIC_XRSTORS:
    case ZYDIS_MNEMONIC_XRSTORS64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_RSTORSSP:
    case ZYDIS_MNEMONIC_SETSSBSY:
    case ZYDIS_MNEMONIC_CLRSSBSY:
    case ZYDIS_MNEMONIC_SAVEPREVSSP:
    case ZYDIS_MNEMONIC_RDSSPD:
    case ZYDIS_MNEMONIC_RDSSPQ:
    case ZYDIS_MNEMONIC_INCSSPD:
    case ZYDIS_MNEMONIC_INCSSPQ:
    case ZYDIS_MNEMONIC_WRSSD:
    case ZYDIS_MNEMONIC_WRSSQ:
    case ZYDIS_MNEMONIC_WRUSSD:
    case ZYDIS_MNEMONIC_WRUSSQ:
        return instruction_class::system;
    default:
        break;
    }
    return theirs.raw.imm[0].is_relative ? instruction_class::jump_conditional
                                         : instruction_class::ordinary;
}

} // namespace decoder_test
