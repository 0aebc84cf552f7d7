// SPDX-License-Identifier: MIT
/// Reads one instruction of either width: how long it is, where its parts are, and what it does to
/// the control flow. For those who patch code or run a copy of an instruction elsewhere.
///
/// What it accepts it is sure of: CPUs of all vendors that know the instruction give it this
/// length. What it does not know, or what vendors read differently, is an error and never a guess:
/// undocumented x87, Knights Corner's own instructions, ud0, near branches in 64-bit mode with an
/// operand size prefix that no REX.W overrides. Of EVEX, XOP, REX2, opmask and AMX instructions and
/// of gathers it knows the length and the class only: it accepts some that are #UD for the
/// registers or the bits of their prefix. [intel/vol2 2.1-2.7, appendix A; intel/apx 3; amd/vol3]
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/width.hpp"

namespace nmisafe::x86 {

/// [intel/vol2 2.3.11]: a longer one is #GP.
inline constexpr size_t maximum_instruction_length = 15;

enum class decode_error : uint8_t {
    truncated =
        1,      // as far as it goes it is an instruction, but it is longer than what is available
    too_long,   // the 15 bytes are used up by then
    unknown,    // no instruction, or none that this decoder knows
    bad_prefix, // the instruction does not take a prefix it has, or vendors disagree about that
};

/// What an instruction does besides its operands. A later instruction pointer other than the next
/// instruction's is never `ordinary` nor `system`, but for a fault.
enum class instruction_class : uint8_t {
    ordinary,
    jump_relative,    // jmp rel
    call_relative,    // call rel
    jump_conditional, // jcc rel; the condition is the low half of the opcode
    loop,             // loopne, loope, loop rel8 (e0, e1, e2); counts in a register of address size
    jump_cx_zero,     // jcxz, jecxz, jrcxz rel8; as above
    jump_indirect,    // near, through a register or memory
    call_indirect,    // near, through a register or memory
    return_near,      // ret, ret imm16
    far_branch,       // far jmp and call
    return_far,       // retf, retf imm16
    interrupt_return, // iret
    breakpoint,       // int3
    software_interrupt, // int imm8, into, int1
    undefined,          // ud1, ud2: #UD on every CPU
    push_flags,         // pushf
    pop_flags,          // popf: may change IF and TF
    disable_interrupts, // cli
    enable_interrupts,  // sti: holds interrupts off for one more instruction
    load_stack_segment, // mov to ss, pop ss, lss: the first two hold interrupts off, NMIs too
    halt,               // hlt, mwait and the like: waits for an event
    system_call,        // syscall, sysenter and their returns
    jump_absolute,      // jmpabs: the immediate is the target
    other_transfer,     // rsm, SMX, SGX and user interrupts: goes where the decoder cannot see
    virtual_machine,    // VMX and SVM
    transaction,        // RTM; xbegin (c7 f8) has a relative target
    port_io,            // in, out, ins, outs
    system,             // system registers, segment registers, TLBs, caches; shadow stacks
};

/// By their numbers in VEX, EVEX and XOP. 3DNow!'s opcodes are immediates of 0f 0f.
enum class opcode_map : uint8_t {
    one_byte,
    map_0f,
    map_0f38,
    map_0f3a,
    map_4, // of EVEX; 7 of VEX too
    map_5,
    map_6,
    map_7,
    xop_8,
    xop_9,
    xop_a,
};

/// What stands before the opcode.
enum class encoding : uint8_t { legacy, rex2, vex, xop, evex };

/// Prefixes that an instruction has, whatever they mean to it. Of F2 and F3 the last one counts.
namespace prefix {
inline constexpr uint8_t operand_size = 1;      // 66
inline constexpr uint8_t address_size = 2;      // 67
inline constexpr uint8_t lock = 4;              // f0
inline constexpr uint8_t repeat = 8;            // f3
inline constexpr uint8_t repeat_not_equal = 16; // f2
inline constexpr uint8_t segment = 32;          // 26, 2e, 36, 3e, 64, 65
} // namespace prefix

/// Where the parts of an instruction are, in bytes from its begin. An offset of 0: there is none.
struct instruction {
    uint8_t length;
    instruction_class kind;
    opcode_map map;
    uint8_t opcode; // the last byte of the opcode, which selects within the map
    encoding form;
    uint8_t prefixes;
    uint8_t rex; // 0 if there is none that counts; of a REX2 what a REX would have
    uint8_t modrm;
    uint8_t opcode_offset;
    uint8_t modrm_offset;
    uint8_t sib_offset;
    uint8_t displacement_offset; // also of the absolute address in a0..a3
    uint8_t displacement_size;
    uint8_t immediate_offset; // also of a relative target
    uint8_t immediate_size;   // of both immediates in `enter` and far pointers: they are adjacent
    bool ip_relative;         // the displacement counts from the next instruction
    int64_t displacement;     // sign-extended
    int64_t immediate;        // sign-extended; of two adjacent immediates, both as one number

    /// @context any
    constexpr uint8_t mod() const { return modrm >> 6; }
    /// ModRM.reg, without REX.R. @context any
    constexpr uint8_t reg() const { return modrm >> 3 & 7; }
    /// ModRM.rm, without REX.B. @context any
    constexpr uint8_t rm() const { return modrm & 7; }
    /// Has all of these prefixes. @context any
    constexpr bool has(uint8_t wanted) const { return (prefixes & wanted) == wanted; }
};

/// A near branch whose immediate counts from the next instruction: a copy elsewhere goes astray.
/// xbegin, of the class transaction, is the one other such instruction. With an operand size
/// prefix, in 32-bit mode, any near branch cuts the new instruction pointer to 16 bits.
/// @context any
constexpr bool is_relative_branch(instruction_class kind) {
    return kind == instruction_class::jump_relative || kind == instruction_class::call_relative ||
           kind == instruction_class::jump_conditional || kind == instruction_class::loop ||
           kind == instruction_class::jump_cx_zero;
}

/// Decodes the instruction at `bytes`, reading at most `available` of them and never more than the
/// instruction has, as far as it is one.
/// @context any: no state, no calls out. It is not marked no-probe, so a breakpoint handler must
/// not use it.
base::expected<instruction, decode_error> decode(const uint8_t* bytes, size_t available,
                                                 width mode);

} // namespace nmisafe::x86
