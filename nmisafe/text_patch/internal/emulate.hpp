// SPDX-License-Identifier: MIT
// What a simple instruction does to a trap frame.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/text_patch/internal/simple_instruction.hpp"
#include "nmisafe/x86/condition.hpp"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::text_patch {

/// The frame's word of a general register, by the number that instructions have for it. Never
/// called for the stack pointer, which is no word of a frame on x86-32.
[[NMISAFE_TRAP_INLINE]] inline uintptr_t& register_of(x86::trap_frame& frame, uint8_t number) {
    switch (number) {
    case 0:
        return frame.ax;
    case 1:
        return frame.cx;
    case 2:
        return frame.dx;
    case 3:
        return frame.bx;
    case 5:
        return frame.bp;
    case 6:
        return frame.si;
#ifdef __x86_64__
    case 8:
        return frame.r8;
    case 9:
        return frame.r9;
    case 10:
        return frame.r10;
    case 11:
        return frame.r11;
    case 12:
        return frame.r12;
    case 13:
        return frame.r13;
    case 14:
        return frame.r14;
    case 15:
        return frame.r15;
#endif
    default:
        return frame.di;
    }
}

/// A load of 4 bytes clears the rest of the register, one of 1 or 2 leaves it. [intel/vol1 3.4.1.1]
[[NMISAFE_TRAP_INLINE]] inline void load(uintptr_t& word, const simple_instruction& instruction) {
    if (instruction.width >= 4) {
        word =
            instruction.width == 4 ? static_cast<uint32_t>(instruction.value) : instruction.value;
        return;
    }
    const unsigned shift = instruction.high_byte ? 8 : 0;
    const uintptr_t mask = (instruction.width == 1 ? uintptr_t{0xff} : uintptr_t{0xffff}) << shift;
    word = (word & ~mask) | (instruction.value << shift & mask);
}

/// Makes the frame what it would be had the instruction at `address` run. A CALL goes to its stub,
/// which does it.
///
/// The flags are left alone: no simple instruction changes any, and RF is clear in the frame of an
/// INT3. [intel/vol3 17.3.1.1]
/// @context any
[[NMISAFE_TRAP_INLINE]] inline void emulate(x86::trap_frame& frame, uintptr_t address,
                                            const simple_instruction& instruction, uintptr_t stub) {
    const uintptr_t next = address + instruction.length;
    uintptr_t ip = next;
    if (instruction.what == form::jump || (instruction.what == form::conditional_jump &&
                                           x86::condition_holds(instruction.detail, frame.flags)))
        ip = next + instruction.value;
    else if (instruction.what == form::call)
        ip = stub;
    else if (instruction.what == form::load)
        load(register_of(frame, instruction.detail), instruction);
    frame.ip = ip;
}

} // namespace nmisafe::text_patch
