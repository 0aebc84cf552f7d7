// SPDX-License-Identifier: MIT
// Which grace period frees a probe, told at each instruction of its unregistration.
#include "nmisafe/marker/internal/retirement.hpp"
#include "nmisafe/marker/registry_test.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/platform/fake/single_step.hpp"

#include <doctest/doctest.h>

using namespace nmisafe;
using marker::internal::periods;
using platform::fake::boundary;
using platform::fake::step_through;

namespace {

using fake = nmisafe_platform;

unsigned calls;

void note(const marker::marker&, void* private_data, const marker::arguments&) {
    calls += private_data != nullptr;
}

bool is_free; // the probe is its owner's, and may be anything
unsigned used_freed;

void note_use(const marker::marker&, void*, const marker::arguments&) {
    used_freed += is_free;
}

void hit() {
    _trace_mark(retirement, number, MARK_NOARGS);
}

auto add(marker::probe& one) {
    return marker::register_probe("retirement", "number", " ", one);
}

} // namespace

// A CPU may hold the store back that takes the probe out, and read meanwhile how many grace periods
// have begun: then one that begins now would free the probe, though hits still find it. A barrier
// after the store and before the load is what keeps it from that.
TEST_CASE("only a grace period that begins when all CPUs see the probe out makes it free") {
    fake::reset();
    marker::test_probe stays(note, nullptr);
    marker::test_probe goes(note, &calls);
    REQUIRE(add(stays));
    REQUIRE(add(goes));
    constexpr uint32_t others = 1000; // grace periods that begin just behind the barrier
    bool is_out = false;
    bool have_begun = false;
    const uint32_t begun = periods.begun;
    const auto watch = [&](const boundary& at) {
        if (is_out && at.behind_barrier && !have_begun) {
            have_begun = true;
            periods.begun += others;
        }
        calls = 0;
        hit();
        is_out = calls == 0;
    };
    bool unregistered = false;
    step_through([&] { unregistered = marker::unregister_probe(goes).has_value(); }, watch);
    CHECK(unregistered);
    CHECK(is_out);
    CHECK(have_begun);
    CHECK(periods.begun == begun + others);
    const uint32_t passed = periods.passed;
    periods.passed = periods.begun; // they are over
    const auto again = add(goes);
    REQUIRE_FALSE(again);
    CHECK(again.error() == marker::marker_error::probe_in_use);
    periods.passed = passed;
    REQUIRE(marker::synchronise());
    REQUIRE(add(goes));
    REQUIRE(marker::unregister_probe(goes));
    REQUIRE(marker::unregister_probe(stays));
}

// A grace period waits for a hit from where its preempt count is raised: so nothing that a hit has
// looked at before may be used by it afterwards.
TEST_CASE("a hit uses no probe that was taken out and made free before its section began") {
    fake::reset();
    fake::calls.reserve(100'000); // stepped code must not be allocating when others act
    marker::test_probe goes(note_use, nullptr);
    marker::test_probe stays(note, nullptr);
    unsigned freed = 0;
    unsigned kept = 0;
    bool is_reached = true;
    used_freed = 0;
    for (unsigned when = 0; is_reached; ++when) {
        REQUIRE(add(goes)); // the first of the list
        REQUIRE(add(stays));
        is_free = false;
        is_reached = false;
        const auto unregister = [&](const boundary& at) {
            if (at.number != when)
                return;
            is_reached = true;
            if (fake::count != 0)
                ++kept;
            else
                is_free = marker::unregister_probe(goes).has_value();
        };
        step_through(hit, unregister);
        freed += is_free;
        if (!is_free)
            REQUIRE(marker::unregister_probe(goes));
        REQUIRE(marker::unregister_probe(stays));
        REQUIRE(marker::synchronise());
    }
    CHECK(freed > 5);
    CHECK(kept > 5);
    CHECK(used_freed == 0);
}
