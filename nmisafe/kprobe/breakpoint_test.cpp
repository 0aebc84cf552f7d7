// SPDX-License-Identifier: MIT
// The way of a frame through a probe and its slot; handlers, counts, recursion, lateness.
#include "nmisafe/context/count.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/x86/flags.h"

#include <doctest/doctest.h>
#include <string_view>
#include <vector>

using namespace nmisafe::kprobe;
using nmisafe::x86::trap_frame;
using bytes = std::vector<uint8_t>;

namespace {

using fake = nmisafe_platform;

constexpr uintptr_t function = 0x40000000;
constexpr uintptr_t slots = function + 0x40;

/// A frame with a stack above it, as on x86-32, where it has no stack pointer.
struct interrupted {
    trap_frame frame{};
    uintptr_t stack[4] = {0x11111111, 0x22222222, 0x33333333, 0x44444444};

    interrupted() {
        frame.flags = X86_FLAGS_FIXED | X86_FLAGS_IF;
#ifdef __x86_64__
        frame.sp = reinterpret_cast<uintptr_t>(stack);
#endif
    }
    bool trap_at(uintptr_t address) {
        frame.ip = address + 1;
        return handle_breakpoint(frame);
    }
};

struct seen {
    char which;
    const probe* what;
    uintptr_t ip;
    uintptr_t sp;
    bool operator==(const seen&) const = default;
};
std::vector<seen> calls;

uintptr_t sp_of(const trap_frame& frame) {
#ifdef __x86_64__
    return frame.sp;
#else
    return reinterpret_cast<uintptr_t>(&frame + 1);
#endif
}

void note_pre(probe& what, trap_frame& frame) {
    calls.push_back({'<', &what, frame.ip, sp_of(frame)});
}
void note_post(probe& what, trap_frame& frame) {
    calls.push_back({'>', &what, frame.ip, sp_of(frame)});
}

/// Words that a post handler sees the stack pointer moved by: only where the frame has one.
constexpr uintptr_t words(unsigned count) {
    return sizeof(void*) == 8 ? count * sizeof(uintptr_t) : 0;
}

/// A probe on the instruction that the text begins with.
class probed {
  public:
    explicit probed(const bytes& code) {
        bytes text(0x80, 0xcc);
        std::copy(code.begin(), code.end(), text.begin());
        fake::reset();
        fake::text.place(function, text);
        calls.clear();
        what.address = what.function = function;
        what.slot = slots;
        what.pre = note_pre;
        what.post = note_post;
        const auto length = insert(what);
        REQUIRE(length.has_value());
        CHECK(*length == code.size());
    }
    ~probed() {
        if (what.internal.now == internal::state::inserted)
            CHECK(remove(what).has_value());
        CHECK(release(what).has_value());
    }
    probed(const probed&) = delete;
    probed& operator=(const probed&) = delete;

    void check_calls(uintptr_t sp, uintptr_t next, uintptr_t popped = 0) const {
        REQUIRE(calls.size() == 2);
        CHECK(calls[0] == seen{'<', &what, function, sp});
        CHECK(calls[1] == seen{'>', &what, next, sp + popped});
        CHECK(what.hits == 1);
        CHECK(what.completed == 1);
        CHECK(what.missed == 0);
    }

    probe what{};
};

void check_emulated(const bytes& code, uintptr_t next) {
    CAPTURE(code);
    const probed site(code);
    interrupted cpu;
    const uintptr_t sp = sp_of(cpu.frame);
    CHECK(cpu.trap_at(function));
    CHECK(cpu.frame.ip == next);
    CHECK(cpu.frame.flags == (X86_FLAGS_FIXED | X86_FLAGS_IF));
    site.check_calls(sp, next);
}

} // namespace

TEST_CASE("one trap where no slot is needed") {
    check_emulated({0x90}, function + 1);
    check_emulated({0xeb, 0x10}, function + 0x12);
    check_emulated({0x74, 0x10}, function + 2);
    check_emulated({0x75, 0x10}, function + 0x12);
    check_emulated({0xe3, 0x10}, function + 0x12);
    check_emulated({0xe2, 0xfe}, function);
}

TEST_CASE("a copy: into the slot, and out behind the instruction") {
    const probed site({0xb8, 1, 2, 3, 4});
    interrupted cpu;
    const uintptr_t sp = sp_of(cpu.frame);
    CHECK(cpu.trap_at(function));
    CHECK(cpu.frame.ip == slots);
    CHECK(calls.size() == 1);
    CHECK(site.what.completed == 0);
    CHECK(cpu.trap_at(slots + 5));
    CHECK(cpu.frame.ip == function + 5);
    CHECK(cpu.frame.flags == (X86_FLAGS_FIXED | X86_FLAGS_IF)); // never TF
    site.check_calls(sp, function + 5);
}

TEST_CASE("a direct call goes to its target from behind the push") {
    const probed site({0xe8, 0, 1, 0, 0});
    interrupted cpu;
    const uintptr_t sp = sp_of(cpu.frame);
    CHECK(cpu.trap_at(function));
    CHECK(cpu.frame.ip == slots);
    CHECK(cpu.trap_at(slots + site.what.internal.step.end));
    CHECK(cpu.frame.ip == function + 0x105);
    CHECK(cpu.stack[0] == 0x11111111);
    site.check_calls(sp, function + 0x105);
}

TEST_CASE("an indirect call leaves its return address where the operand was pushed") {
    const probed site({0xff, 0xd0});
    interrupted cpu;
    const uintptr_t sp = sp_of(cpu.frame);
    CHECK(cpu.trap_at(function));
    cpu.stack[0] = 0x5678; // as the slot's push does
    CHECK(cpu.trap_at(slots + 2));
    CHECK(cpu.frame.ip == 0x5678);
    CHECK(cpu.stack[0] == function + 2);
    CHECK(cpu.stack[1] == 0x22222222);
    CHECK(sp_of(cpu.frame) == sp);
    site.check_calls(sp, 0x5678);
}

TEST_CASE("an indirect jump ends in the slot's ret; its post handler sees the target") {
    const probed site({0xff, 0xe0});
    interrupted cpu;
    const uintptr_t sp = sp_of(cpu.frame);
    CHECK(cpu.trap_at(function));
    cpu.stack[0] = 0x5678;
    CHECK(cpu.trap_at(slots + 2));
    CHECK(cpu.frame.ip == slots + 3);
    CHECK(cpu.stack[0] == 0x5678);
    CHECK(sp_of(cpu.frame) == sp);
    site.check_calls(sp, 0x5678, words(1));
}

TEST_CASE("a return: the post handler sees what it leaves") {
    const probed site({0xc2, 8, 0});
    interrupted cpu;
    const uintptr_t sp = sp_of(cpu.frame);
    CHECK(cpu.trap_at(function));
    CHECK(cpu.frame.ip == slots);
    CHECK(sp_of(cpu.frame) == sp);
    site.check_calls(sp, 0x11111111, words(1) + (words(1) != 0 ? 8 : 0));
}

TEST_CASE("handlers may be left out, and may change registers") {
    probed site({0xb8, 1, 2, 3, 4});
    site.what.pre = nullptr;
    site.what.post = [](probe& what, trap_frame& frame) {
        frame.ax = reinterpret_cast<uintptr_t>(what.argument);
    };
    site.what.argument = &site;
    interrupted cpu;
    CHECK(cpu.trap_at(function));
    CHECK(cpu.trap_at(slots + 5));
    CHECK(cpu.frame.ax == reinterpret_cast<uintptr_t>(&site));
    CHECK(site.what.hits == 1);
    CHECK(site.what.completed == 1);
}

TEST_CASE("a probe hit in a handler is missed, but executed") {
    probed site({0xb8, 1, 2, 3, 4});
    site.what.pre = site.what.post = [](probe& what, trap_frame&) {
        const uint32_t hits = what.hits;
        interrupted inner;
        CHECK(inner.trap_at(function));
        CHECK(inner.frame.ip == slots);
        CHECK(inner.trap_at(slots + 5));
        CHECK(inner.frame.ip == function + 5);
        CHECK(what.hits == hits);
    };
    interrupted cpu;
    CHECK(cpu.trap_at(function));
    CHECK(site.what.missed == 1);
    CHECK(cpu.trap_at(slots + 5));
    CHECK(site.what.hits == 1);
    CHECK(site.what.completed == 1);
    CHECK(site.what.missed == 2);
    // And the next one is none.
    CHECK(cpu.trap_at(function));
    CHECK(site.what.hits == 2);
}

TEST_CASE("a handler takes off no probe: it would wait for itself") {
    probed site({0xb8, 1, 2, 3, 4});
    site.what.pre = site.what.post = [](probe& what, trap_frame&) {
        CHECK(remove(what).error() == probe_error::cannot_synchronise);
        CHECK(release(what).error() == probe_error::cannot_synchronise);
        probe other{};
        CHECK(insert(other).error() == probe_error::cannot_synchronise);
    };
    interrupted cpu;
    CHECK(cpu.trap_at(function));
    CHECK(cpu.trap_at(slots + 5));
    CHECK(site.what.completed == 1);
}

namespace {

/// Of each hit, the events that it comes in beside those of the hit before, in whose handler it is.
/// N: an NMI, as nmisafe_trap_nmi() counts it. W: one that the preempt count does not say yet, or
/// no longer. D: a #DB or #MC, as nmisafe_trap_dispatch_nmi_like() counts it.
std::vector<std::string_view> events_of_hits;

void enter(char event) {
    if (event != 'D')
        ++fake::cpu.nmi_in_progress;
    if (event != 'W')
        nmisafe::context::nmi_enter();
}
void leave(char event) {
    if (event != 'W')
        nmisafe::context::nmi_exit();
    if (event != 'D')
        --fake::cpu.nmi_in_progress;
}

void next_hit(probe&, trap_frame&) {
    if (events_of_hits.empty())
        return;
    const std::string_view events = events_of_hits.front();
    events_of_hits.erase(events_of_hits.begin());
    for (const char event : events)
        enter(event);
    interrupted cpu;
    CHECK(cpu.trap_at(function));
    CHECK(cpu.trap_at(slots + 5));
    for (auto event = events.rbegin(); event != events.rend(); ++event)
        leave(*event);
}

void check_counts(const std::vector<std::string_view>& events, uint32_t hits, uint32_t missed) {
    CAPTURE(events.size());
    CAPTURE(events.back());
    probed site({0xb8, 1, 2, 3, 4});
    site.what.pre = next_hit;
    site.what.post = nullptr;
    events_of_hits = events;
    interrupted frame_of_none;
    next_hit(site.what, frame_of_none.frame);
    CHECK(site.what.hits == hits);
    CHECK(site.what.completed == hits);
    CHECK(site.what.missed == missed);
    CHECK(events_of_hits.empty());
    CHECK_FALSE(nmisafe::context::in_nmi());
    CHECK(fake::cpu.in_probe_handler[0] == 0);
    CHECK(fake::cpu.in_probe_handler[1] == 0);
}

} // namespace

TEST_CASE("an NMI inside a handler is not recursion, a second hit in it is") {
    check_counts({"", "N"}, 2, 0);
    check_counts({"", "N", ""}, 2, 1);
    check_counts({"N", ""}, 1, 1);
}

TEST_CASE("an NMI counts for itself before the preempt count says so, and after") {
    check_counts({"", "W"}, 2, 0);
    check_counts({"W", ""}, 1, 1);
}

TEST_CASE("an NMI inside a handler that runs in a #DB or #MC is not recursion") {
    check_counts({"D", "N"}, 2, 0);
    check_counts({"D", "W"}, 2, 0);
    check_counts({"DD", "N"}, 2, 0); // a #MC in a #DB
    check_counts({"", "DN"}, 2, 0);
    check_counts({"D", "DN"}, 2, 0);
    check_counts({"D", "N", "D"}, 2, 1);
}

TEST_CASE("a #DB or #MC inside a handler is recursion, in an NMI too") {
    check_counts({"D"}, 1, 0);
    check_counts({"", "D"}, 1, 1);
    check_counts({"D", "D"}, 1, 1);
    check_counts({"ND"}, 1, 0);
    check_counts({"N", "D"}, 1, 1);
    check_counts({"ND", ""}, 1, 1);
    check_counts({"", "ND"}, 2, 0);
}

TEST_CASE("many may be in one slot, and leave it in any order") {
    const probed site({0xff, 0xd0});
    interrupted first;
    interrupted second;
    CHECK(first.trap_at(function));
    CHECK(second.trap_at(function));
    first.stack[0] = 0x100;
    second.stack[0] = 0x200;
    CHECK(first.trap_at(slots + 2));
    CHECK(second.trap_at(slots + 2));
    CHECK(first.frame.ip == 0x100);
    CHECK(second.frame.ip == 0x200);
    CHECK(site.what.completed == 2);
}

TEST_CASE("who is in the slot when the probe is removed comes out of it, without a handler") {
    probed site({0xb8, 1, 2, 3, 4});
    interrupted cpu;
    interrupted late;
    CHECK(cpu.trap_at(function));
    CHECK(*remove(site.what) == 1);
    CHECK(cpu.trap_at(slots + 5));
    CHECK(cpu.frame.ip == function + 5);
    CHECK(site.what.completed == 0);
    // Its INT3 was executed before it went: back to the instruction.
    CHECK(late.trap_at(function));
    CHECK(late.frame.ip == function);
    CHECK(site.what.hits == 1);
}

TEST_CASE("a probe that goes and comes back while a breakpoint is on its way") {
    probed site({0xb8, 1, 2, 3, 4});
    CHECK(remove(site.what).has_value());
    CHECK(release(site.what).has_value());
    // The handler has found no probe; before it reads the byte, INT3 is there again.
    fake::before_read = [&] {
        fake::before_read = nullptr;
        CHECK(insert(site.what).has_value());
    };
    interrupted cpu;
    CHECK(cpu.trap_at(function));
    CHECK(cpu.frame.ip == function);
}

TEST_CASE("breakpoints of somebody else") {
    const probed site({0xb8, 1, 2, 3, 4});
    interrupted cpu;
    CHECK_FALSE(cpu.trap_at(function + 0x20)); // INT3 in the text
    CHECK_FALSE(cpu.trap_at(slots + 6));       // in the slot, not at its end
    CHECK_FALSE(cpu.trap_at(0x1000));          // no text
    CHECK(calls.empty());
}
