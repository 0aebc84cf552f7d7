// SPDX-License-Identifier: MIT
// The few instructions that a breakpoint handler can stand in for: what they look like.
//
// No decoder of x86: anything it is not certain about is `unknown`. [intel/vol2 chapters 2 to 4]
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/x86/instruction.hpp"

namespace nmisafe::text_patch {

enum class form : uint8_t {
    unknown = 0,
    nop,              ///< 90 and 0F 1F /0, with 66 and 2E before them
    jump,             ///< EB rel8, E9 rel32
    conditional_jump, ///< 70+cc rel8, 0F 80+cc rel32
    call,             ///< E8 rel32
    load,             ///< MOV of an immediate to a register: B0+r, B8+r, C7 /0
};

/// No default member initialisers: at -O0 they would be a constructor, a function of its own that
/// the breakpoint handler would call.
struct simple_instruction {
    form what;
    uint8_t length;
    uint8_t detail;  ///< Of a load: the register's number. Of a conditional jump: the condition.
    uint8_t width;   ///< Of a load: how many bytes of the register it writes.
    bool high_byte;  ///< Of a load: the second byte of the register (AH to BH).
    uintptr_t value; ///< Immediate or displacement, sign-extended.
};

/// Member by member: at -O0 the zero initialisation of all of it may be a call of memset().
[[NMISAFE_TRAP_INLINE]] constexpr void forget(simple_instruction& instruction) {
    instruction.what = form::unknown;
    instruction.length = 0;
    instruction.detail = 0;
    instruction.width = 0;
    instruction.high_byte = false;
    instruction.value = 0;
}

inline constexpr uint8_t stack_pointer_number = 4;

/// A little-endian value of 1, 2, 4 or 8 bytes, sign-extended.
[[NMISAFE_TRAP_INLINE]] constexpr uintptr_t read_value(const uint8_t* bytes, size_t size) {
    uintptr_t value = 0;
    for (size_t i = 0; i < size; ++i)
        value |= uintptr_t{bytes[i]} << 8 * i;
    if (size < sizeof(uintptr_t) && (bytes[size - 1] & 0x80) != 0)
        value |= ~uintptr_t{0} << 8 * size;
    return value;
}

/// Bytes of a ModRM operand: ModRM, SIB, displacement. `left` bytes are there, at least one.
[[NMISAFE_TRAP_INLINE]] constexpr size_t operand_length(const uint8_t* bytes, size_t left) {
    const unsigned mod = bytes[0] >> 6;
    const unsigned rm = bytes[0] & 7U;
    if (mod == 3)
        return 1;
    const bool sib = rm == 4;
    const bool no_base = mod == 0 && (sib ? left > 1 && (bytes[1] & 7) == 5 : rm == 5);
    const size_t displacement = mod == 1 ? 1 : (mod == 2 || no_base) ? 4 : 0;
    return 1 + (sib ? 1U : 0U) + displacement;
}

/// What the `size` bytes are, if they are exactly one instruction of a form above; else `unknown`.
/// @context any
[[NMISAFE_TRAP_INLINE]] constexpr simple_instruction recognise(const uint8_t* bytes, size_t size) {
    simple_instruction found;
    forget(found);
    size_t at = 0;
    bool operand_size = false;
    bool segment = false;
    uint8_t rex = 0;
    for (; at < size; ++at) {
        if (bytes[at] == 0x2e)
            segment = true;
        else if (bytes[at] == 0x66 && !segment)
            operand_size = true;
        else
            break;
    }
    if (x86::is_64_bit && at < size && (bytes[at] & 0xf0) == 0x40)
        rex = bytes[at++];
    const bool prefixed = at != 0;
    if (at == size)
        return found;
    const uint8_t opcode = bytes[at++];
    const bool two_bytes = opcode == 0x0f && at < size;
    const uint8_t second = two_bytes ? bytes[at++] : uint8_t{0};

    size_t value_size = 0;
    form what = form::unknown;
    if (opcode == 0x90 && rex == 0) {
        what = form::nop;
    } else if (two_bytes && second == 0x1f && rex == 0 && at < size && (bytes[at] & 0x38) == 0) {
        what = form::nop;
        at += operand_length(bytes + at, size - at);
    } else if (opcode == 0xeb || opcode == 0xe9 || opcode == 0xe8) {
        what = opcode == 0xe8 ? form::call : form::jump;
        value_size = opcode == 0xeb ? 1 : 4;
    } else if ((opcode & 0xf0) == 0x70 || (two_bytes && (second & 0xf0) == 0x80)) {
        what = form::conditional_jump;
        value_size = two_bytes ? 4 : 1;
        found.detail = static_cast<uint8_t>((two_bytes ? second : opcode) & 0xf);
    } else if ((opcode & 0xf0) == 0xb0 && !segment) {
        what = form::load;
        found.detail = opcode & 7;
        const bool wide = (opcode & 8) != 0;
        found.width = !wide ? 1 : (rex & 8) != 0 ? 8 : operand_size ? 2 : 4;
        value_size = found.width;
    } else if (opcode == 0xc7 && !segment && at < size && (bytes[at] & 0xf8) == 0xc0) {
        what = form::load;
        found.detail = bytes[at++] & 7;
        found.width = (rex & 8) != 0 ? 8 : operand_size ? 2 : 4;
        value_size = found.width == 2 ? 2 : 4;
    }

    bool known = what != form::unknown && at + value_size == size;
    if (what == form::load) {
        // 66 with REX.W, and the W, R and X bits where they mean nothing, are not what compilers
        // write. Nor does anybody here load the stack pointer, or a part of it.
        if ((operand_size && (rex & 8) != 0) || (rex & 6) != 0 ||
            (found.width == 1 && (operand_size || (rex & 8) != 0)))
            known = false;
        if (found.width == 1 && rex == 0 && found.detail >= 4) {
            found.high_byte = true;
            found.detail &= 3;
        }
        found.detail |= static_cast<uint8_t>((rex & 1) << 3);
        if (!found.high_byte && found.detail == stack_pointer_number)
            known = false;
    } else if (what != form::nop && prefixed) {
        known = false;
    }
    if (!known) {
        forget(found);
        return found;
    }
    if (value_size != 0)
        found.value = read_value(bytes + at, value_size);
    found.what = what;
    found.length = static_cast<uint8_t>(size);
    return found;
}

} // namespace nmisafe::text_patch
