// SPDX-License-Identifier: MIT
// Hits within hits: a probe that hits its own marker comes to an end, and is counted.
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/platform/fake/single_step.hpp"

#include <algorithm>
#include <doctest/doctest.h>

using namespace nmisafe;
using marker::probe;
using platform::fake::boundary;
using platform::fake::step_through;

namespace {

using fake = nmisafe_platform;

constexpr unsigned most_hits = 7;          // as context::preempt_disable_capped() says
constexpr unsigned enough = 1000;          // a probe goes no deeper than this by itself
constexpr size_t kernel_stack = 16 * 1024; // what a kernel's threads usually have

unsigned calls;
unsigned depth;
unsigned deepest;
uintptr_t lowest_stack;

void hit() {
    _trace_mark(nesting, own, MARK_NOARGS);
}
void hit_other() {
    _trace_mark(nesting, other, MARK_NOARGS);
}

void note_call(void (*nested)()) {
    char here = 0;
    lowest_stack = std::min(lowest_stack, reinterpret_cast<uintptr_t>(&here));
    ++calls;
    deepest = std::max(deepest, ++depth);
    if (depth < enough)
        nested();
    --depth;
}

void hits_own(const marker::marker&, void*, const marker::arguments&) {
    note_call(hit);
}
void hits_other(const marker::marker&, void*, const marker::arguments&) {
    note_call(hit_other);
}
void hits_first(const marker::marker&, void*, const marker::arguments&) {
    note_call(hit);
}

void begin() {
    fake::reset();
    calls = depth = deepest = 0;
}

/// @return the bytes of stack that it took.
size_t hit_and_measure() {
    char here = 0;
    lowest_stack = reinterpret_cast<uintptr_t>(&here);
    hit();
    return reinterpret_cast<uintptr_t>(&here) - lowest_stack;
}

struct registered {
    explicit registered(marker::probe_function function, const char* name = "own")
        : one(function, nullptr) {
        REQUIRE(marker::register_probe("nesting", name, nullptr, one));
    }
    ~registered() {
        CHECK(marker::unregister_probe(one));
        CHECK(marker::synchronise());
    }
    registered(const registered&) = delete;
    registered& operator=(const registered&) = delete;

    probe one;
};

} // namespace

TEST_CASE("a probe that hits its own marker ends, and what was dropped is counted") {
    begin();
    const registered own(hits_own);
    CHECK(hit_and_measure() < kernel_stack / 2);
    CHECK(calls == most_hits);
    CHECK(deepest == most_hits);
    CHECK(fake::cpu.dropped_hits == 1);
    CHECK(fake::count == 0);
    hit(); // and again, as if nothing had been
    CHECK(calls == 2 * most_hits);
    CHECK(fake::cpu.dropped_hits == 2);
    CHECK(fake::count == 0);
}

TEST_CASE("control: without the cap it goes on, over the end of a kernel's stack") {
    begin();
    const registered own(hits_own);
    fake::capped = false;
    CHECK(hit_and_measure() > kernel_stack);
    fake::capped = true;
    fake::count = 0; // which all that has run over
    CHECK(deepest == enough);
    CHECK(fake::cpu.dropped_hits == 0);
}

TEST_CASE("two markers whose probes hit each other, and a list of such probes") {
    begin();
    {
        const registered first(hits_other);
        const registered second(hits_first, "other");
        hit();
        CHECK(calls == most_hits);
        CHECK(fake::cpu.dropped_hits == 1);
    }
    begin();
    {
        const registered first(hits_own);
        const registered second(hits_own);
        hit();
        CHECK(deepest == most_hits);
        CHECK(calls == (2U << most_hits) - 2); // two at each depth, for each of those above
        CHECK(fake::cpu.dropped_hits == 2U << (most_hits - 1));
        CHECK(fake::count == 0);
    }
}

TEST_CASE("preempt_disable() that is nested deep leaves room for fewer, and stays exact") {
    for (const uint32_t nested : {0U, 1U, 15U, 16U, 40U, 111U, 112U, 127U, 200U, 239U}) {
        begin();
        const registered own(hits_own); // with the count at 0
        fake::count = nested;
        calls = 0;
        hit();
        CHECK(calls == (nested < 128 ? (127 - nested) / 16 : 0));
        CHECK(fake::cpu.dropped_hits == 1);
        CHECK(fake::count == nested);
        fake::count = 0;
    }
}

TEST_CASE("an NMI's hits share the cap with the hit they interrupt, and both go on") {
    begin();
    static unsigned in_nmi;
    static unsigned in_thread;
    in_nmi = in_thread = 0;
    static const auto on_hit = [](const marker::marker&, void*, const marker::arguments&) {
        if (fake::cpu.nmi_in_progress != 0) {
            ++in_nmi;
            hit(); // on and on
        } else if (++in_thread < 3) {
            hit();
        } else { // the NMI comes here
            fake::cpu.nmi_in_progress = 1;
            context::nmi_enter();
            hit();
            context::nmi_exit();
            fake::cpu.nmi_in_progress = 0;
        }
    };
    const registered own(on_hit);
    hit();
    CHECK(in_thread == 3);
    CHECK(in_nmi == most_hits - 3);
    CHECK(fake::cpu.dropped_hits == 1);
    CHECK(fake::count == 0);
}

// Wherever the count is 0, a grace period may pass: what is unregistered before it is gone.
TEST_CASE("a hit has raised the count before it looks for probes, until they have returned") {
    begin();
    fake::calls.reserve(100'000); // stepped code must not be allocating when others act
    static bool is_lent;
    static unsigned late;
    static unsigned in_time;
    late = in_time = 0;
    static const auto note = [](const marker::marker&, void*, const marker::arguments&) {
        ++(is_lent ? in_time : late);
    };
    unsigned boundaries = 2;
    unsigned with_raised_count = 0;
    for (unsigned at = 0; at < boundaries; ++at) {
        probe one(note, nullptr);
        REQUIRE(marker::register_probe("nesting", "own", nullptr, one));
        is_lent = true;
        const auto take_away = [&](const boundary& now) {
            with_raised_count += fake::count != 0;
            if (now.number != at || fake::count != 0)
                return;
            (void)marker::unregister_probe(one);
            (void)marker::synchronise();
            is_lent = false;
        };
        boundaries = step_through(hit, take_away);
        if (is_lent)
            REQUIRE(marker::unregister_probe(one));
        REQUIRE(marker::synchronise());
    }
    CHECK(late == 0);
    CHECK(in_time > 10); // taken away behind the call, or not at all
    CHECK(in_time < boundaries);
    CHECK(with_raised_count > 10);
}
