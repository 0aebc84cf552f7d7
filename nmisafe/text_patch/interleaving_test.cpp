// SPDX-License-Identifier: MIT
// A patcher and a breakpoint handler on two CPUs: one is run instruction by instruction, and what
// the other may do meanwhile is done between any two of them.
#include "nmisafe/text_patch/one_site_test.hpp"

#include <doctest/doctest.h>

using namespace nmisafe::text_patch;
using namespace nmisafe::text_patch::test;
using internal::active;
using nmisafe::platform::fake::boundary;
using nmisafe::platform::fake::step_through;
using nmisafe::x86::trap_frame;

using fake = nmisafe_platform;

TEST_CASE("a late handler that begins at any instruction of apply() takes no INT3 for foreign") {
    place();
    patch one = load(1, 2);
    const uint32_t batches = active.batches;
    unsigned without_batch = 0;
    unsigned with_batch = 0;
    unsigned foreign = 0;
    // An older INT3 was executed here. Before its handler reads the byte, apply() has gone on to
    // its own INT3.
    const auto to_breakpoint = [batches] {
        active.batches = batches + 1;
        fake::text.bytes[0] = breakpoint;
    };
    const auto begin_handler = [&](const boundary&) {
        if (fake::text_writes != 0)
            return;
        const uint32_t counted = active.batches;
        ++(active.patches == nullptr ? without_batch : with_batch);
        fake::before_read = to_breakpoint;
        trap_frame late = hit();
        foreign += !handle_breakpoint(late);
        fake::before_read = nullptr;
        fake::text.bytes[0] = one.before[0];
        active.batches = counted;
    };
    bool applied = false;
    step_through([&] { applied = apply(&one, 1).has_value(); }, begin_handler);
    CHECK(applied);
    CHECK(active.batches == batches + 1);
    CHECK(without_batch > 10);
    CHECK(with_batch > 1);
    CHECK(foreign == 0);
}

TEST_CASE("apply() keeps the batch until the handlers that read it are done") {
    place();
    patch one = load(1, 2);
    bool counted = false;
    fake::observer = [&] {
        if (fake::synchronisations == 3 && !counted) {
            counted = true;
            active.readers += 1; // another CPU's handler is looking at the batch
        }
    };
    unsigned waited = 0;
    bool published = true;
    const auto end_handler = [&](const boundary&) {
        if (active.readers == 0 || ++waited != long_enough)
            return;
        published = active.patches != nullptr;
        active.readers -= 1;
    };
    bool applied = false;
    step_through([&] { applied = apply(&one, 1).has_value(); }, end_handler);
    CHECK(applied);
    CHECK(counted);
    CHECK(waited == long_enough); // not less: then it has returned before
    CHECK_FALSE(published); // who comes later has not been waited for, and has not been let in
    active.readers = 0;
}

TEST_CASE("a handler reads the batch only while it is counted") {
    place();
    patch one = load(1, 2);
    const patch other = load(77, 78); // what the batch's memory may be used for next
    unsigned runs = 0;
    unsigned wrong = 0;
    unsigned counted = 0;
    // Hits the site while it holds INT3. From a boundary on apply() is over, if it can be there.
    const auto handle_until = [&](unsigned end) {
        const patch kept = one;
        const auto end_apply = [&](const boundary& at) {
            counted += active.readers;
            if (at.number != end || active.readers != 0)
                return;
            active.patches = nullptr;
            one = other;
            fake::text.bytes[0] = kept.after[0];
        };
        trap_frame frame = hit();
        bool handled = false;
        const unsigned boundaries =
            step_through([&] { handled = handle_breakpoint(frame); }, end_apply);
        const bool emulated = frame.ip == text_begin + 5 && frame.ax == 1;
        wrong += !handled || (!emulated && frame.ip != text_begin);
        active.patches = &one;
        one = kept;
        fake::text.bytes[0] = breakpoint;
        ++runs;
        return boundaries;
    };
    fake::observer = [&] {
        if (fake::synchronisations != 1 || runs != 0)
            return;
        for (unsigned end = 0; end < handle_until(end); ++end) {
        }
    };
    CHECK(apply(&one, 1).has_value());
    CHECK(runs > 20);
    CHECK(counted > runs);
    CHECK(wrong == 0);
}
