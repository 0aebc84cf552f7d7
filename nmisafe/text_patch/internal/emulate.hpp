// SPDX-License-Identifier: MIT
// What a simple instruction does to a trap frame.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/frame.hpp"
#include "nmisafe/text_patch/internal/effect.hpp"
#include "nmisafe/text_patch/internal/simple_instruction.hpp"
#include "nmisafe/x86/condition.hpp"
#include "nmisafe/x86/flags.h"

namespace nmisafe::text_patch::internal {

/// Where a frame has the word of a general register, by the number that instructions have for it.
/// Never called for the stack pointer, which is no word of a frame on x86-32.
constexpr uint8_t register_offset(uint8_t number) {
    return platform::layout_of_frame.registers[number];
}

/// A load of 4 bytes clears the rest of the register, one of 1 or 2 leaves it. [intel/vol1 3.4.1.1]
constexpr effect effect_of_load(const simple_instruction& load) {
    if (load.width >= 4)
        return effect::load;
    return load.width == 2  ? effect::load_word
           : load.high_byte ? effect::load_high_byte
                            : effect::load_low_byte;
}

/// Works out one side of a patch: the instruction at `address`, or the stub that stands in for a
/// CALL. @context thread
constexpr void prepare(prepared& made, unsigned side, const simple_instruction& instruction,
                       uintptr_t address, uintptr_t stub) {
    const uintptr_t next = address + instruction.length;
    made.detail[side] = 0;
    made.word[side] = next;
    switch (instruction.what) {
    case form::unknown:
        made.what[side] = effect::none;
        return;
    case form::nop:
        made.what[side] = effect::go;
        return;
    case form::jump:
        made.what[side] = effect::go;
        made.word[side] = next + instruction.value;
        return;
    case form::call:
        made.what[side] = effect::go;
        made.word[side] = stub;
        return;
    case form::conditional_jump:
        made.what[side] = effect::go_if;
        made.word[side] = next + instruction.value;
        made.detail[side] = instruction.detail;
        return;
    case form::load:
        made.what[side] = effect_of_load(instruction);
        made.word[side] =
            instruction.width == 4 ? static_cast<uint32_t>(instruction.value) : instruction.value;
        if (made.what[side] == effect::load_high_byte)
            made.word[side] <<= 8;
        made.detail[side] = register_offset(instruction.detail);
        return;
    }
}

/// Of a load: the bytes of the register that it writes.
[[NMISAFE_TRAP_INLINE]] constexpr uintptr_t written_by(effect what) {
    return what == effect::load_word ? 0xffff : what == effect::load_high_byte ? 0xff00 : 0xff;
}

/// Makes the frame what it would be had the instruction run. A CALL goes to its stub, which does
/// it. False, and the frame as it is, if nobody may stand in for that.
///
/// The flags are left alone: no simple instruction changes any, and RF is clear in the frame of an
/// INT3. [intel/vol3 17.3.1.1]
/// @context any
[[NMISAFE_TRAP_INLINE]] inline bool emulate(platform::frame& frame, const prepared& from,
                                            unsigned side, uintptr_t next) {
    uintptr_t& ip = platform::ip_of(frame);
    const effect what = from.what[side];
    const uintptr_t word = from.word[side];
    const uint8_t detail = from.detail[side];
    if (what == effect::load) {
        platform::word_of(frame, detail) = word;
        ip = next;
        return true;
    }
    if (what == effect::go) {
        ip = word;
        return true;
    }
    if (what == effect::none)
        return false;
    if (what == effect::go_if) {
        ip = x86::condition_holds(detail, platform::flags_of(frame)) ? word : next;
        return true;
    }
    const uintptr_t written = written_by(what);
    uintptr_t& place = platform::word_of(frame, detail);
    place = (place & ~written) | (word & written);
    ip = next;
    return true;
}

} // namespace nmisafe::text_patch::internal
