// SPDX-License-Identifier: MIT
// Something that every CPU does, by an interrupt, before who asked for it goes on.
#pragma once

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/cpu/vectors.hpp"

namespace kernel {

/// Requests are numbered. A CPU that does it once answers all requests made before it began.
class broadcast {
  public:
    constexpr broadcast(vector interrupt, void (*action)())
        : interrupt_(interrupt), action_(action) {}

    /// Does it here, and returns when each other CPU has since the call. CPUs with interrupts off
    /// are waited for; CPUs that come up meanwhile are not, and need not be. @context thread,
    /// interrupts on (or the only CPU)
    void ask_all();

    /// For the handler of the interrupt. No irq_enter(): the action asks for nothing, and nothing
    /// is due afterwards. @context irq
    void answer();

    /// The latest request that a CPU has answered. @context any
    uint32_t answered(uint32_t id) const {
        return __atomic_load_n(&answered_[id], __ATOMIC_ACQUIRE);
    }

  private:
    void wait_for_answer(uint32_t id, uint32_t request) const;

    const vector interrupt_;
    void (*const action_)();
    uint32_t requests_ = 0;
    uint32_t answered_[most_cpus] = {};
};

/// Whether broadcasts may be made here: who waits for another CPU must let that one's in. Not in a
/// handler, though there be one CPU only: of an NMI, of #DB or #MC, of an interrupt or of a probe.
/// @context any
bool may_broadcast();

} // namespace kernel
