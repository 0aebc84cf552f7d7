// SPDX-License-Identifier: MIT
// Who puts probes on and off and a breakpoint handler on two CPUs: one is run instruction by
// instruction, and what the other may do meanwhile is done between any two of them.
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/platform/fake/single_step.hpp"

#include <doctest/doctest.h>
#include <utility>
#include <vector>

using namespace nmisafe::kprobe;
using internal::all;
using nmisafe::platform::fake::boundary;
using nmisafe::platform::fake::step_through;
using nmisafe::x86::trap_frame;

namespace {

using fake = nmisafe_platform;

constexpr uintptr_t function = 0x40000000;
constexpr uintptr_t other = function + 0x108; // in the same bucket
constexpr uintptr_t slots = function + 0x180;
constexpr unsigned long_enough = 1000; // boundaries that nobody passes who does not wait
constexpr unsigned far_too_long = 1000000;

void place() {
    std::vector<uint8_t> text(0x200, 0x90);
    const std::vector<uint8_t> load = {0xb8, 5, 0, 0, 0};
    for (const uintptr_t at : {function, other})
        std::copy(load.begin(), load.end(), text.begin() + static_cast<long>(at - function));
    fake::reset();
    fake::text.place(function, text);
}

probe at(uintptr_t address, uintptr_t slot) {
    probe what{};
    what.address = what.function = address;
    what.slot = slot;
    return what;
}

using operation = nmisafe::base::expected<size_t, probe_error> (*)(probe&);

struct hit {
    trap_frame frame{};
    bool handled;
    explicit hit(uintptr_t address) {
        frame.ip = address + 1;
        handled = handle_breakpoint(frame);
    }
};

} // namespace

TEST_CASE("a late handler that begins at any instruction of insert() takes no INT3 for foreign") {
    place();
    probe what = at(function, slots);
    const uint32_t changes = all.changes;
    unsigned without_probe = 0;
    unsigned with_probe = 0;
    unsigned wrong = 0;
    // An older INT3 was executed here. Before its handler reads the byte, insert() has gone on to
    // its own INT3.
    const auto to_breakpoint = [changes] {
        all.changes = changes + 1;
        fake::text.bytes[0] = 0xcc;
    };
    const auto begin_handler = [&](const boundary&) {
        if (fake::text.bytes[0] == 0xcc)
            return;
        const uint32_t counted = all.changes;
        const bool found = all.sites.find(function) != nullptr;
        ++(found ? with_probe : without_probe);
        fake::before_read = to_breakpoint;
        const hit late(function);
        fake::before_read = nullptr;
        wrong += !late.handled || late.frame.ip != (found ? slots : function);
        fake::text.bytes[0] = 0xb8;
        all.changes = counted;
    };
    bool inserted = false;
    step_through([&] { inserted = insert(what).has_value(); }, begin_handler);
    CHECK(inserted);
    CHECK(all.changes == changes + 1);
    CHECK(without_probe > 10);
    CHECK(with_probe > 10);
    CHECK(wrong == 0);
    CHECK(remove(what).has_value());
    CHECK(release(what).has_value());
}

TEST_CASE("remove() waits for the handlers of its probe") {
    place();
    probe what = at(function, slots);
    REQUIRE(insert(what).has_value());
    what.internal.running += 1; // another CPU is in one
    unsigned waited = 0; // with the probe disarmed: nobody begins who has not been waited for
    const auto end_handler = [&](const boundary& now) {
        waited += what.internal.armed == 0 && what.internal.running != 0;
        if (waited == long_enough || now.number == far_too_long)
            what.internal.running = 0;
    };
    bool removed = false;
    step_through([&] { removed = remove(what).has_value(); }, end_handler);
    CHECK(removed);
    CHECK(waited == long_enough); // not less: then it has returned before
    what.internal.running = 0;
    CHECK(release(what).has_value());
}

// disarm() must not count the handlers while its store is held back: one that is counted only then
// still finds the probe armed.
TEST_CASE("remove() counts the handlers when all CPUs see the probe disarmed") {
    place();
    probe what = at(function, slots);
    REQUIRE(insert(what).has_value());
    bool has_begun = false;
    unsigned waited = 0;
    const auto begin_handler = [&](const boundary& now) {
        if (what.internal.armed == 0 && now.behind_barrier && !has_begun) {
            has_begun = true;
            what.internal.running += 1; // it has found the probe armed before the barrier
        }
        waited += has_begun;
        if (waited == long_enough)
            what.internal.running -= 1;
    };
    bool removed = false;
    step_through([&] { removed = remove(what).has_value(); }, begin_handler);
    CHECK(removed);
    CHECK(has_begun);
    CHECK(waited >= long_enough); // less: it was not waited for
    what.internal.running = 0;
    CHECK(release(what).has_value());
}

// The other side: a handler that is not counted yet when another CPU disarms is not waited for.
TEST_CASE("a probe's handler does not begin once remove() has found nobody in it") {
    static bool is_gone;
    static unsigned late;
    static unsigned called;
    late = 0;
    place();
    probe what = at(function, slots);
    what.pre = [](probe&, trap_frame&) {
        ++called;
        late += is_gone;
    };
    REQUIRE(insert(what).has_value());
    unsigned gone_first = 0;
    unsigned waited_for = 0;
    bool is_reached = true;
    for (unsigned when = 0; is_reached; ++when) {
        is_reached = is_gone = false;
        called = 0;
        trap_frame frame{};
        frame.ip = function + 1;
        bool handled = false;
        step_through([&] { handled = handle_breakpoint(frame); },
                     [&](const boundary& now) {
                         if (now.number != when)
                             return;
                         is_reached = true;
                         what.internal.armed = 0;
                         is_gone = what.internal.running == 0;
                         waited_for += !is_gone;
                     });
        CHECK(handled);
        gone_first += is_gone && called == 0;
        what.internal.armed = 1;
    }
    CHECK(late == 0);
    CHECK(gone_first > 10);
    CHECK(waited_for > 2);
    CHECK(called == 1); // nobody has disarmed it
    CHECK(remove(what).has_value());
    CHECK(release(what).has_value());
}

TEST_CASE("what is taken out of the tables has been counted before") {
    place();
    probe what = at(function, slots);
    uint32_t changes = 0;
    unsigned gone = 0;
    unsigned uncounted = 0;
    bool done = false;
    const auto steps_of = [&](operation change, const internal::table& table, uintptr_t key) {
        gone = uncounted = 0;
        bool was_there = table.find(key) != nullptr;
        changes = all.changes;
        step_through([&] { done = change(what).has_value(); },
                     [&](const boundary&) {
                         if (table.find(key) != nullptr) {
                             if (!was_there)
                                 changes = all.changes + 1; // that of its own addition is to come
                             was_there = true;
                         } else if (was_there) {
                             ++gone;
                             uncounted += all.changes == changes;
                         }
                     });
    };
    REQUIRE(insert(what).has_value());
    steps_of(remove, all.sites, function);
    CHECK(done);
    CHECK(gone != 0);
    CHECK(uncounted == 0);
    steps_of(release, all.slots, slots);
    CHECK(done);
    CHECK(gone != 0);
    CHECK(uncounted == 0);
    // And by an insert() that comes to nothing, since somebody has changed the instruction.
    fake::observer = [] { fake::text.bytes[0] = 0xb9; };
    steps_of(insert, all.sites, function);
    CHECK_FALSE(done);
    CHECK(gone != 0);
    CHECK(uncounted == 0);
    fake::text.bytes[0] = 0xb8;
    steps_of(insert, all.slots, slots);
    fake::observer = nullptr;
    CHECK_FALSE(done);
    CHECK(gone != 0);
    CHECK(uncounted == 0);
}

TEST_CASE("a probe is found though another one before it moves to another bucket meanwhile") {
    place();
    probe sought = at(function, slots);
    REQUIRE(insert(sought).has_value());
    unsigned wrong = 0;
    unsigned again = 0;
    bool is_reached = true;
    for (unsigned when = 0; is_reached; ++when) {
        probe before = at(other, slots + slot_size);
        REQUIRE(insert(before).has_value());
        is_reached = false;
        bool moved = false;
        // It is moved, but insert() has not counted it yet.
        const auto move = [&](const boundary& now) {
            if (now.number != when)
                return;
            is_reached = true;
            const auto mine = std::exchange(fake::cpu, {}); // by another CPU
            moved = remove(before).has_value() && release(before).has_value();
            before.address = before.function = function + 5;
            moved = insert(before).has_value() && moved;
            fake::cpu = mine;
            all.changes -= 1;
        };
        trap_frame frame{};
        frame.ip = function + 1;
        bool handled = false;
        step_through([&] { handled = handle_breakpoint(frame); }, move);
        all.changes += is_reached;
        CHECK(moved == is_reached);
        wrong += !handled || (frame.ip != slots && frame.ip != function);
        again += frame.ip == function;
        REQUIRE(remove(before).has_value());
        REQUIRE(release(before).has_value());
    }
    CHECK(wrong == 0);
    CHECK(again != 0); // it has stood on the link
    CHECK(remove(sought).has_value());
    CHECK(release(sought).has_value());
}
