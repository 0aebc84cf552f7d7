// SPDX-License-Identifier: MIT
/// The preempt count: what this CPU is in the middle of, and the bracket around an NMI handler.
///
/// One word of the embedding kernel's, in the fields of a layout. The functions touch that word and
/// call the platform's hooks, nothing else: no lock, no allocation, no fault of their own.
///
/// Why an NMI may land between any two instructions here: it adds and takes away the same amount
/// before it is over, and the platform changes the word with one instruction, so the interrupted
/// change neither loses nor doubles anything.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/context/layouts.hpp"
#include "nmisafe/platform/contract.hpp"

namespace nmisafe::context {

/// The functions for one layout and one platform. Kernels use the free ones below, which are this
/// for their own platform; README.md describes them.
///
/// @context any, all of them. The counts come as masked parts of the word, not shifted down.
template <layout Layout, typename Contract>
struct basic_count {
    static_assert(platform::check_contract<Contract>());

    static constexpr uint32_t preempt_mask = Layout::preempt.mask();
    static constexpr uint32_t softirq_mask = Layout::softirq.mask();
    static constexpr uint32_t hardirq_mask = Layout::hardirq.mask();
    static constexpr uint32_t nmi_mask = Layout::nmi.mask();
    static constexpr uint32_t need_resched_mask = Layout::need_resched.mask();

    /// What an NMI adds. It is an interrupt too, so that in_irq() holds in its handler, as in
    /// Linux.
    ///
    /// One addition for both fields, where the RFC makes two: with nothing but the next instruction
    /// between them nobody could tell, except a trap right there, which would see in_nmi() without
    /// in_irq(). This way it sees both or none.
    static constexpr uint32_t nmi_offset = Layout::nmi.one() + Layout::hardirq.one();
    /// Whether the field has more than one bit, so that #DB and #MC are counted in it too.
    static constexpr bool nmi_can_nest = (nmi_mask & (nmi_mask - 1)) != 0;

    [[NMISAFE_TRAP_INLINE]] static uint32_t preempt_count() {
        return Contract::preempt_count() & ~need_resched_mask;
    }
    [[NMISAFE_TRAP_INLINE]] static uint32_t softirq_count() { return masked(softirq_mask); }
    [[NMISAFE_TRAP_INLINE]] static uint32_t hardirq_count() { return masked(hardirq_mask); }
    [[NMISAFE_TRAP_INLINE]] static uint32_t hardnmi_count() { return masked(nmi_mask); }
    [[NMISAFE_TRAP_INLINE]] static uint32_t irq_count() {
        return masked(nmi_mask | hardirq_mask | softirq_mask);
    }

    [[NMISAFE_TRAP_INLINE]] static bool in_irq() { return hardirq_count() != 0; }
    [[NMISAFE_TRAP_INLINE]] static bool in_softirq() { return softirq_count() != 0; }
    [[NMISAFE_TRAP_INLINE]] static bool in_interrupt() { return irq_count() != 0; }
    [[NMISAFE_TRAP_INLINE]] static bool in_nmi() { return hardnmi_count() != 0; }

    [[NMISAFE_TRAP_INLINE]] static void preempt_disable() {
        if constexpr (platform::checks_counts<Contract>)
            require(masked(preempt_mask) != preempt_mask, "preempt_disable() nests too deep");
        add(Layout::preempt.one());
    }
    [[NMISAFE_TRAP_INLINE]] static void preempt_enable_no_resched() {
        if constexpr (platform::checks_counts<Contract>)
            require(masked(preempt_mask) != 0, "preempt_enable() without preempt_disable()");
        end_section(Layout::preempt.one());
    }

    /// What preempt_disable_capped() adds: a sixteenth of the field, so that the upper half of it,
    /// which nothing else comes near, begins behind a few.
    static constexpr uint32_t capped_offset = Layout::preempt.bits > 4
                                                  ? Layout::preempt.one()
                                                        << (Layout::preempt.bits - 4)
                                                  : Layout::preempt.one();
    static constexpr uint32_t capped_limit = Layout::preempt.bits > 1
                                                 ? Layout::preempt.one()
                                                       << (Layout::preempt.bits - 1)
                                                 : 2 * Layout::preempt.one();

    [[NMISAFE_TRAP_INLINE]] static bool preempt_disable_capped() {
        if constexpr (platform::has_add_preempt_byte<Contract> && preempt_mask == 0xff) {
            const bool is_upper = Contract::add_preempt_byte(uint8_t{capped_offset});
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            if (is_upper) [[unlikely]] {
                subtract(capped_offset);
                return false;
            }
        } else {
            if (masked(preempt_mask) + capped_offset >= capped_limit) [[unlikely]]
                return false;
            add(capped_offset);
        }
        return true;
    }
    [[NMISAFE_TRAP_INLINE]] static void preempt_enable_capped() { end_section(capped_offset); }

    [[NMISAFE_TRAP_INLINE]] static void irq_enter() {
        if constexpr (platform::checks_counts<Contract>)
            require(masked(hardirq_mask) != hardirq_mask, "interrupts nest too deep");
        add(Layout::hardirq.one());
        if constexpr (platform::has_irq_accounting<Contract>)
            Contract::irq_enter_accounting();
    }
    [[NMISAFE_TRAP_INLINE]] static void irq_exit() {
        if constexpr (platform::has_irq_accounting<Contract>)
            Contract::irq_exit_accounting();
        if constexpr (platform::checks_counts<Contract>)
            require(masked(hardirq_mask) != 0, "irq_exit() without irq_enter()");
        subtract(Layout::hardirq.one());
    }

    // The RFC's order; nmi_exit is its mirror image, line by line.
    [[NMISAFE_TRAP_INLINE]] static void nmi_enter() {
        if constexpr (platform::has_lock_checker<Contract>)
            Contract::lock_checker_off();
        require(masked(nmi_cap_mask) != nmi_cap_mask, "NMIs nest too deep");
        add(nmi_offset);
        if constexpr (platform::has_irq_accounting<Contract>)
            Contract::irq_enter_accounting();
    }
    [[NMISAFE_TRAP_INLINE]] static void nmi_exit() {
        if constexpr (platform::has_irq_accounting<Contract>)
            Contract::irq_exit_accounting();
        if constexpr (platform::checks_counts<Contract>)
            require(masked(nmi_mask) != 0, "nmi_exit() without nmi_enter()");
        subtract(nmi_offset);
        if constexpr (platform::has_lock_checker<Contract>)
            Contract::lock_checker_on();
    }

  private:
    // The field that stops an NMI, by being full. An NMI counts in two fields, and the hardirq
    // field never holds less than the NMI field; so if it is no wider, it is the first to be full
    // and the one test covers both. If it is wider the NMI field decides: for one bit that is the
    // RFC's BUG.
    static constexpr uint32_t nmi_cap_mask =
        Layout::hardirq.bits <= Layout::nmi.bits ? hardirq_mask : nmi_mask;

    [[NMISAFE_TRAP_INLINE]] static uint32_t masked(uint32_t mask) {
        return Contract::preempt_count() & mask;
    }

    // The fences keep the compiler from moving accesses of the counted section out of it. The CPU
    // needs none: the word is read by its own CPU only.
    [[NMISAFE_TRAP_INLINE]] static void add(uint32_t amount) {
        Contract::add_preempt_count(amount);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    [[NMISAFE_TRAP_INLINE]] static void subtract(uint32_t amount) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        Contract::add_preempt_count(0 - amount);
    }

    [[NMISAFE_TRAP_INLINE]] static void end_section(uint32_t amount) {
        if constexpr (platform::has_end_of_section<Contract>) {
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            Contract::end_section(0 - amount);
        } else {
            subtract(amount);
        }
    }

    [[NMISAFE_TRAP_INLINE]] static void require(bool condition, const char* what) {
        if (!condition) [[unlikely]]
            fail(what);
    }
    [[noreturn, gnu::cold, gnu::noinline]] static void fail(const char* what) {
        Contract::panic({.what = what, .frame = nullptr, .value = Contract::preempt_count()});
        __builtin_trap(); // a panic() that comes back must not let the count wrap
    }
};

/// The layout that the kernel's platform names as preempt_layout; `modern` if it names none.
template <typename Contract>
struct chosen_layout {
    using type = layouts::modern;
};
template <typename Contract>
requires requires {
    typename Contract::preempt_layout;
}
struct chosen_layout<Contract> {
    using type = typename Contract::preempt_layout;
};

/// The preempt count of the kernel that this is built into.
using count = basic_count<chosen_layout<platform::contract>::type, platform::contract>;

/// The whole count, without the need-resched flag: 0 exactly when this CPU may be preempted.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline uint32_t preempt_count() {
    return count::preempt_count();
}

/// The softirq part of the count.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline uint32_t softirq_count() {
    return count::softirq_count();
}

/// The hardirq part of the count; an NMI counts here too.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline uint32_t hardirq_count() {
    return count::hardirq_count();
}

/// The NMI part of the count.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline uint32_t hardnmi_count() {
    return count::hardnmi_count();
}

/// The softirq, hardirq and NMI parts. The RFC left the NMI part out, so that between its two
/// additions in_interrupt() was false in an NMI.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline uint32_t irq_count() {
    return count::irq_count();
}

/// In an interrupt or NMI handler?
/// @context any
[[NMISAFE_TRAP_INLINE]] inline bool in_irq() {
    return count::in_irq();
}

/// In a softirq?
/// @context any
[[NMISAFE_TRAP_INLINE]] inline bool in_softirq() {
    return count::in_softirq();
}

/// In a softirq, an interrupt or an NMI handler?
/// @context any
[[NMISAFE_TRAP_INLINE]] inline bool in_interrupt() {
    return count::in_interrupt();
}

/// Between nmi_enter() and nmi_exit()? Not the same as "NMIs are blocked": they already are before
/// the one and still are after the other.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline bool in_nmi() {
    return count::in_nmi();
}

/// Keeps this thread on its CPU until the matching preempt_enable_no_resched(). Nests.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline void preempt_disable() {
    count::preempt_disable();
}

/// Ends preempt_disable(). Does not itself reschedule: the library has no scheduler.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline void preempt_enable_no_resched() {
    count::preempt_enable_no_resched();
}

/// preempt_disable() for sections that may nest by mistake without end, such as a hit of a marker
/// in what that hit calls. It counts as sixteen, so the preempt field itself holds the cap: seven
/// at once on a CPU, an interrupted NMI's and its own together; one less for each sixteen that
/// preempt_disable() has counted. @return false, and nothing changed, if there are that many.
/// @context any
[[nodiscard, NMISAFE_TRAP_INLINE]] inline bool preempt_disable_capped() {
    return count::preempt_disable_capped();
}

/// Ends preempt_disable_capped() that said true.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline void preempt_enable_capped() {
    count::preempt_enable_capped();
}

/// Begins an interrupt handler: counts it, then calls the platform's accounting.
/// @context irq
[[NMISAFE_TRAP_INLINE]] inline void irq_enter() {
    count::irq_enter();
}

/// Ends an interrupt handler, in the reverse order. Runs no softirqs: that is the kernel's part.
/// @context irq
[[NMISAFE_TRAP_INLINE]] inline void irq_exit() {
    count::irq_exit();
}

/// Begins an NMI handler: lock checker off, panic if the layout has no room for one more NMI,
/// count, accounting.
/// @context nmi
[[NMISAFE_TRAP_INLINE]] inline void nmi_enter() {
    count::nmi_enter();
}

/// Ends an NMI handler, exactly in the reverse order. What follows still runs with NMIs blocked.
/// @context nmi
[[NMISAFE_TRAP_INLINE]] inline void nmi_exit() {
    count::nmi_exit();
}

} // namespace nmisafe::context
