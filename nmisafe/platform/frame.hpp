// SPDX-License-Identifier: MIT
/// The frame of a trap as the embedding kernel has it: the library's own, or another that the contract names
/// (README.md). What is done to frames by text_patch, kprobe and vmalloc goes through here; offsets are constants, so
/// it costs what a member of a structure does.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/platform/frame_layout.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::platform {

namespace internal {

/// The library's own frame.
template <typename Contract>
struct frame_model {
    using type = x86::trap_frame;
    static constexpr frame_layout layout = {
        .ip = offsetof(type, ip),
        .flags = offsetof(type, flags),
        .error = offsetof(type, error),
#ifdef __x86_64__
        .sp = offsetof(type, sp),
        .registers = {offsetof(type, ax), offsetof(type, cx), offsetof(type, dx),
                      offsetof(type, bx), 0, offsetof(type, bp), offsetof(type, si),
                      offsetof(type, di), offsetof(type, r8), offsetof(type, r9),
                      offsetof(type, r10), offsetof(type, r11), offsetof(type, r12),
                      offsetof(type, r13), offsetof(type, r14), offsetof(type, r15)},
#else
        .sp = sizeof(type),
        .registers = {offsetof(type, ax), offsetof(type, cx), offsetof(type, dx),
                      offsetof(type, bx), 0, offsetof(type, bp), offsetof(type, si),
                      offsetof(type, di)},
#endif
    };

    [[NMISAFE_TRAP_INLINE]] static void note_return_address(type& frame) {
        x86::note_return_address(frame);
    }
};

/// The embedder's.
template <has_frame Contract>
struct frame_model<Contract> {
    using type = typename Contract::frame;
    static constexpr frame_layout layout = Contract::layout_of_frame;

    [[NMISAFE_TRAP_INLINE]] static void
    note_return_address(type& frame) requires has_note_return_address<Contract> {
        Contract::note_return_address(frame);
    }
};

using model = frame_model<contract>;

} // namespace internal

/// What handlers of traps, probes and faults are given.
using frame = internal::model::type;

inline constexpr frame_layout layout_of_frame = internal::model::layout;

/// The words of a frame, for code that runs where there is little stack: words[word_at.ip]. A call that is inlined costs stack
/// without optimisation, an index does not.
using frame_words = uintptr_t*;

namespace internal {

struct word_indices {
    unsigned ip, flags, sp, cx;
};
constexpr unsigned index_of(uint8_t offset) {
    return offset / sizeof(uintptr_t);
}
constexpr bool is_whole(const frame_layout& layout) {
    for (const uint8_t offset : layout.registers)
        if (offset % sizeof(uintptr_t) != 0)
            return false;
    return (layout.ip | layout.flags | layout.error | layout.sp) % sizeof(uintptr_t) == 0;
}
static_assert(is_whole(layout_of_frame), "layout_of_frame: each offset is one of a whole word");

} // namespace internal

/// `sp` as frame_layout has it.
inline constexpr internal::word_indices word_at = {
    .ip = internal::index_of(layout_of_frame.ip),
    .flags = internal::index_of(layout_of_frame.flags),
    .sp = internal::index_of(layout_of_frame.sp),
    .cx = internal::index_of(layout_of_frame.registers[1]),
};

// For everybody else. Each by itself, not one by the other, for the same reason.

/// A word of a frame. @context any, all of them
[[NMISAFE_TRAP_INLINE]] inline uintptr_t& word_of(frame& of, uint8_t offset) {
    return *reinterpret_cast<uintptr_t*>(reinterpret_cast<uintptr_t>(&of) + offset);
}

[[NMISAFE_TRAP_INLINE]] inline uintptr_t& ip_of(frame& of) {
    return *reinterpret_cast<uintptr_t*>(reinterpret_cast<uintptr_t>(&of) + layout_of_frame.ip);
}
[[NMISAFE_TRAP_INLINE]] inline uintptr_t flags_of(const frame& of) {
    return *reinterpret_cast<const uintptr_t*>(reinterpret_cast<uintptr_t>(&of) +
                                               layout_of_frame.flags);
}
[[NMISAFE_TRAP_INLINE]] inline uintptr_t error_of(const frame& of) {
    return *reinterpret_cast<const uintptr_t*>(reinterpret_cast<uintptr_t>(&of) +
                                               layout_of_frame.error);
}

/// A general register, by its number in instructions; not the stack pointer.
[[NMISAFE_TRAP_INLINE]] inline uintptr_t& register_of(frame& of, unsigned number) {
    return *reinterpret_cast<uintptr_t*>(reinterpret_cast<uintptr_t>(&of) +
                                         layout_of_frame.registers[number]);
}

/// Where the interrupted stack begins: of a frame from ring 0.
[[NMISAFE_TRAP_INLINE]] inline uintptr_t interrupted_sp_of(const frame& of) {
    const uintptr_t place = reinterpret_cast<uintptr_t>(&of) + layout_of_frame.sp;
#ifdef __x86_64__
    return *reinterpret_cast<const uintptr_t*>(place);
#else
    return place;
#endif
}

/// See x86::note_return_address().
[[NMISAFE_TRAP_INLINE]] inline void note_return_address([[maybe_unused]] frame& of) {
#ifdef NMISAFE_SHADOW_STACK
    internal::model::note_return_address(of);
#endif
}

} // namespace nmisafe::platform
