// SPDX-License-Identifier: MIT
/// Layouts of the preempt count: which bits of one 32-bit word count what.
///
/// A layout is a type of constexpr fields, checked when it is used: one whose fields collide, leave
/// the word or are out of order does not compile, and the error names the fields. The RFC found its
/// collisions on alpha and avr32 by reading; those on ARM and ia64 it missed.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::context {

/// Some adjacent bits of the preempt count. No bits: the layout has no such field.
struct field {
    uint32_t shift = 0;
    uint32_t bits = 0;

    /// The bits, as a mask of the word. 64 bits wide, so that a field beyond bit 31 stays visible
    /// to the checks instead of wrapping into the word.
    constexpr uint64_t wide_mask() const { return ((uint64_t{1} << bits) - 1) << shift; }
    /// The bits, as a mask of the word. Only for a field that passed the checks.
    constexpr uint32_t mask() const { return static_cast<uint32_t>(wide_mask()); }
    /// What adding one to the field adds to the word.
    constexpr uint32_t one() const { return bits == 0 ? 0 : uint32_t{1} << shift; }
    /// How often the field can be counted up.
    constexpr uint32_t limit() const { return mask() >> shift; }
};

/// The field of a flag that kernels write as a mask (0x1000'0000). More than one bit set gives a
/// field that check_layout rejects.
constexpr field flag(uint64_t mask) {
    const auto shift = static_cast<uint32_t>(std::countr_zero(mask));
    return {shift, static_cast<uint32_t>(std::bit_width(mask)) - shift};
}

/// The fields of the word. A layout without a preempt_active (the flag that older Linux sets while
/// it preempts) or a need_resched (a flag that some kernels fold in) gives them no bits.
template <typename T>
concept layout_type = requires {
    { T::preempt } -> std::convertible_to<field>;
    { T::softirq } -> std::convertible_to<field>;
    { T::hardirq } -> std::convertible_to<field>;
    { T::nmi } -> std::convertible_to<field>;
    { T::preempt_active } -> std::convertible_to<field>;
    { T::need_resched } -> std::convertible_to<field>;
};

/// Fails to compile, naming the fields, unless Layout is sound.
template <layout_type Layout>
consteval bool check_layout() {
    constexpr field preempt = Layout::preempt;
    constexpr field softirq = Layout::softirq;
    constexpr field hardirq = Layout::hardirq;
    constexpr field nmi = Layout::nmi;
    constexpr field preempt_active = Layout::preempt_active;
    constexpr field need_resched = Layout::need_resched;

    constexpr auto fits = [](field f) { return f.shift <= 32 && f.bits <= 32 - f.shift; };
    static_assert(fits(preempt), "preempt-count layout: preempt leaves the 32-bit word");
    static_assert(fits(softirq), "preempt-count layout: softirq leaves the 32-bit word");
    static_assert(fits(hardirq), "preempt-count layout: hardirq leaves the 32-bit word");
    static_assert(fits(nmi), "preempt-count layout: nmi leaves the 32-bit word");
    static_assert(fits(preempt_active),
                  "preempt-count layout: preempt_active leaves the 32-bit word");
    static_assert(fits(need_resched), "preempt-count layout: need_resched leaves the 32-bit word");

    static_assert(preempt.bits != 0, "preempt-count layout: preempt has no bits");
    static_assert(softirq.bits != 0, "preempt-count layout: softirq has no bits");
    static_assert(hardirq.bits != 0, "preempt-count layout: hardirq has no bits");
    static_assert(nmi.bits != 0, "preempt-count layout: nmi has no bits");

    constexpr auto apart = [](field a, field b) { return (a.wide_mask() & b.wide_mask()) == 0; };
    static_assert(apart(preempt, softirq), "preempt-count layout: preempt and softirq collide");
    static_assert(apart(preempt, hardirq), "preempt-count layout: preempt and hardirq collide");
    static_assert(apart(preempt, nmi), "preempt-count layout: preempt and nmi collide");
    static_assert(apart(softirq, hardirq), "preempt-count layout: softirq and hardirq collide");
    static_assert(apart(softirq, nmi), "preempt-count layout: softirq and nmi collide");
    static_assert(apart(hardirq, nmi), "preempt-count layout: hardirq and nmi collide");
    static_assert(apart(preempt, preempt_active),
                  "preempt-count layout: preempt and preempt_active collide");
    static_assert(apart(softirq, preempt_active),
                  "preempt-count layout: softirq and preempt_active collide");
    static_assert(apart(hardirq, preempt_active),
                  "preempt-count layout: hardirq and preempt_active collide");
    static_assert(apart(nmi, preempt_active),
                  "preempt-count layout: nmi and preempt_active collide");
    static_assert(apart(preempt, need_resched),
                  "preempt-count layout: preempt and need_resched collide");
    static_assert(apart(softirq, need_resched),
                  "preempt-count layout: softirq and need_resched collide");
    static_assert(apart(hardirq, need_resched),
                  "preempt-count layout: hardirq and need_resched collide");
    static_assert(apart(nmi, need_resched), "preempt-count layout: nmi and need_resched collide");
    static_assert(apart(preempt_active, need_resched),
                  "preempt-count layout: preempt_active and need_resched collide");

    // The order lets code compare whole counts: from one hardirq upwards, this is an interrupt.
    // (Linux 2.6.25 has the last two as "PREEMPT_ACTIVE is too low!".)
    static_assert(preempt.shift < softirq.shift && softirq.shift < hardirq.shift,
                  "preempt-count layout: hardirq or softirq is too low (order is preempt, softirq, "
                  "hardirq)");
    static_assert(hardirq.shift < nmi.shift,
                  "preempt-count layout: nmi is too low (it lies above hardirq)");
    static_assert(preempt_active.bits == 0 || hardirq.shift < preempt_active.shift,
                  "preempt-count layout: preempt_active is too low (it lies above hardirq)");
    static_assert(need_resched.bits == 0 || hardirq.shift < need_resched.shift,
                  "preempt-count layout: need_resched is too low (it lies above hardirq)");
    static_assert(preempt_active.bits <= 1, "preempt-count layout: preempt_active is one bit");
    static_assert(need_resched.bits <= 1, "preempt-count layout: need_resched is one bit");
    return true;
}

/// A layout that passed the checks.
template <typename T>
concept layout = layout_type<T> && check_layout<T>();

} // namespace nmisafe::context
