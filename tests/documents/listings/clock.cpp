// SPDX-License-Identifier: MIT
#include "nmisafe/clock/conversion.hpp"
#include "nmisafe/clock/synchrony.hpp"
#include "nmisafe/clock/trace_clock.hpp"
#include "nmisafe/x86/tsc.hpp"

using namespace nmisafe;

uint64_t hpet_ticks();
clock::cpu_clock<>& this_cpus_clock();
void event(uint64_t time);

constinit clock::synchrony_check<> check;

void boot(uint32_t side, uint32_t patience, bool all_together) {
    const auto found = check.run(side, 1000, patience);
    clock::tsc_is_good = x86::has_invariant_tsc() && all_together;
}

void tick(clock::cpu_clock<>& clock, uint64_t hpet_ticks_passed, uint64_t tsc_ticks_passed) {
    clock.start(hpet_ticks(), clock::rate_of(hpet_ticks_passed, tsc_ticks_passed));
    clock.update(hpet_ticks());
}

void traced() {
    const clock::trace_clock time(this_cpus_clock());
    event(time.read());
}
