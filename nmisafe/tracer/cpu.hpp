// SPDX-License-Identifier: MIT
/// What the tracer keeps for each CPU, and what a CPU is doing: the word that each event has.
///
///     static tracer::cpu& tracer_cpu();      // in nmisafe_platform
///
///     void on_page_fault(x86::trap_frame& frame) {
///         const tracer::inside_context here(ctf::context::trap);
///         tracer::trace<events::page_fault_kernel>(...);
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/clock/cpu_clock.hpp"
#include "nmisafe/ctf/event.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/ring_buffer/layout.hpp"

namespace nmisafe::tracer {

/// Which of a CPU's buffers an event goes into. Whoever makes the buffers decides for each channel
/// how large they are, and what becomes of events when they are full.
enum class channel : uint8_t {
    kernel,  ///< What the kernel does: few and short events.
    samples, ///< Of a profiler: many long ones.
    markers, ///< Markers and probes of instructions.
    other,
};
inline constexpr unsigned channel_count = 4;
inline constexpr const char* channel_names[channel_count] = {"kernel", "samples", "markers",
                                                             "other"};

/// What a CPU is doing, in one word that is loaded and stored at once: ctf::event_context as it is
/// in memory. 0: it runs a thread.
using context_word = uint16_t;

constexpr context_word make_context_word(ctf::context innermost, uint8_t depth) {
    return static_cast<context_word>(static_cast<unsigned>(innermost) | unsigned{depth} << 8);
}

/// One for each CPU, at an address that is resident, zero at boot. Written by its own CPU alone.
struct cpu {
    context_word context; ///< enter() and leave() write it.
    uint16_t unused;
    /// The thread that runs, for packets to begin with. The scheduler stores it at each switch, in
    /// one store.
    int32_t tid;
    /// Null: events of that channel are not recorded here, and counted nowhere else than in
    /// `unrecorded`. Set by one store each, once the buffer is there, and not taken away.
    ring_buffer::header* buffers[channel_count];
    uint32_t unrecorded;
    /// For where the TSC is no clock (clock/trace_clock.hpp): started and updated by the embedder.
    clock::cpu_clock<> clock;
};

static_assert(platform::check_tracer_contract<platform::contract>());

namespace internal {

[[NMISAFE_TRAP_INLINE]] inline context_word context_of(const cpu& mine) {
    return __atomic_load_n(&mine.context, __ATOMIC_RELAXED);
}

} // namespace internal

/// The word as it is: a kernel that switches threads inside a handler (a page fault that sleeps)
/// keeps it with the thread, and puts it back by leave() when that runs again.
/// @context any, with preemption off
[[NMISAFE_TRAP_INLINE]] inline context_word current_context() {
    return internal::context_of(platform::contract::tracer_cpu());
}

/// Begins a handler. Whatever interrupts it, at whichever instruction, puts the word back before it
/// returns, and so neither sees the other.
/// @return what leave() is to be given
/// @context any, on a CPU that stays the same: interrupts or preemption off
[[nodiscard, NMISAFE_TRAP_INLINE]] inline context_word enter(ctf::context which) {
    cpu& mine = platform::contract::tracer_cpu();
    const context_word before = internal::context_of(mine);
    const auto depth = static_cast<uint8_t>((before >> 8) + 1);
    __atomic_store_n(&mine.context, make_context_word(which, depth), __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return before;
}

/// Ends it. @context as enter()
[[NMISAFE_TRAP_INLINE]] inline void leave(context_word before) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&platform::contract::tracer_cpu().context, before, __ATOMIC_RELAXED);
}

/// Both, for a block.
class inside_context {
  public:
    [[NMISAFE_TRAP_INLINE]] explicit inside_context(ctf::context which) : before_(enter(which)) {}
    [[NMISAFE_TRAP_INLINE]] ~inside_context() { leave(before_); }
    inside_context(const inside_context&) = delete;
    inside_context& operator=(const inside_context&) = delete;

  private:
    const context_word before_;
};

} // namespace nmisafe::tracer
