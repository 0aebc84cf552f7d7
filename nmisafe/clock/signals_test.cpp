// SPDX-License-Identifier: MIT
// The CPU's own counter: a thread reads, timers interrupt it to update and, as an NMI would, to
// read.
#include "nmisafe/clock/trace_clock.hpp"
#include "nmisafe/platform/hosted/one_cpu.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <ctime>

using namespace nmisafe;

namespace {

constinit clock::cpu_clock<> mine;
constinit uint64_t reference;
volatile sig_atomic_t updates;
volatile sig_atomic_t nmis;
volatile sig_atomic_t steps_back;

void on_tick(int) {
    // Every other tick finds the clock ahead, so that it becomes slower.
    reference += uint64_t{updates % 2 == 0 ? 30'000u : 90'000u};
    updates = updates + mine.update(reference);
}

void on_nmi(int) {
    const clock::trace_clock time(mine);
    const uint64_t first = time.read();
    const uint64_t second = time.read();
    if (second < first)
        steps_back = steps_back + 1;
    nmis = nmis + 1;
}

class timer {
  public:
    timer(int signal, void (*handler)(int), int blocked, long period) {
        struct sigaction action {};
        action.sa_handler = handler;
        action.sa_flags = SA_RESTART;
        sigemptyset(&action.sa_mask);
        if (blocked != 0)
            sigaddset(&action.sa_mask, blocked);
        sigaction(signal, &action, nullptr);
        sigevent event{};
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = signal;
        REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &id_) == 0);
        const itimerspec when{{0, period}, {0, period}};
        REQUIRE(timer_settime(id_, 0, &when, nullptr) == 0);
    }
    ~timer() { timer_delete(id_); }

  private:
    timer_t id_{};
};

} // namespace

TEST_CASE("a thread, ticks and NMIs read the real counter, and time does not step back") {
    platform::hosted::stay_on_this_cpu();
    clock::tsc_is_good = false;
    reference = 1'000'000;
    mine.start(reference, clock::rate_of_one);
    const int tick = SIGRTMIN;
    const int nmi = SIGRTMIN + 1;
    const clock::trace_clock time(mine);
    uint64_t last = 0;
    uint64_t reads = 0;
    {
        const timer ticks(tick, on_tick, 0, 53'003);
        const timer storm(nmi, on_nmi, tick, 71'011); // an NMI is interrupted by no tick
        while (updates < 500 || nmis < 500) {
            const uint64_t now = time.read();
            if (now < last)
                steps_back = steps_back + 1;
            last = now;
            ++reads;
        }
    }
    CHECK(steps_back == 0);
    CHECK(reads > 1000);
}

TEST_CASE("where the TSC is good it is the time") {
    platform::hosted::stay_on_this_cpu();
    clock::tsc_is_good = true;
    const clock::trace_clock time(mine);
    const uint64_t before = x86::read_tsc();
    const uint64_t now = time.read();
    CHECK(before < now);
    CHECK(now < x86::read_tsc());
    clock::tsc_is_good = false;
}

TEST_CASE("what CPUID says of the TSC") {
    CHECK(x86::has_tsc());
    if (x86::has_invariant_tsc())
        CHECK(x86::has_tsc());
    CHECK(x86::cpuid(0x7fff'ffff).a == 0);
    CHECK(x86::cpuid(0).a >= 1);
}
