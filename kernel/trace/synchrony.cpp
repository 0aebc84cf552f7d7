// SPDX-License-Identifier: MIT
#include "kernel/trace/synchrony.hpp"

#include "kernel/common/spinlock.hpp"
#include "kernel/smp/smp.hpp"
#include "nmisafe/clock/synchrony.hpp"

namespace kernel {

namespace {

constexpr uint32_t rounds = 1000;
constexpr uint32_t patience = 100'000'000;

using check = nmisafe::clock::synchrony_check<>;

void take_part(check& of, uint32_t side, nmisafe::clock::synchrony& found) {
    const interrupts_off off;
    found = of.run(side, rounds, patience);
}

struct other_side {
    check of;
    nmisafe::clock::synchrony found;
};

} // namespace

bool has_same_tsc(uint32_t cpu_id) {
    other_side both{};
    run_on(
        cpu_id,
        [](void* argument) {
            auto& mine = *static_cast<other_side*>(argument);
            take_part(mine.of, 1, mine.found);
        },
        &both);
    nmisafe::clock::synchrony found{};
    take_part(both.of, 0, found);
    wait(cpu_id);
    return found == nmisafe::clock::synchrony::together &&
           both.found == nmisafe::clock::synchrony::together;
}

} // namespace kernel
