// SPDX-License-Identifier: MIT
// What becomes of samples in a trace.
#include "nmisafe/profiler/sample.hpp"

#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/tracer/kernel_events.hpp"
#include "nmisafe/tracer/machine_test.hpp"

#include <doctest/doctest.h>

using namespace nmisafe;
using namespace nmisafe::profiler;
using tracer::test::machine;

namespace {

text_patch::patch workspace[32];

extern "C" const char sampled[], sampled_slot[];
asm(".pushsection .text; .balign 32; sampled_slot: .skip 32, 0xcc\n"
    "sampled: addl $0x12345678, %eax; ret; .popsection");
constexpr uintptr_t sampled_length = 5;

constexpr size_t depth = 80; // more than a sample has

/// As an NMI leaves it: what was interrupted has its stack right above.
struct {
    x86::trap_frame frame;
    uintptr_t stack[2 * depth];
} interrupted;

uintptr_t code(size_t number) {
    return reinterpret_cast<uintptr_t>(&take_sample) + 1 + number;
}

uintptr_t address_of(size_t frame) {
    return reinterpret_cast<uintptr_t>(&interrupted.stack[2 * frame]);
}

/// A chain of so many calls.
void make_chain(size_t count) {
    interrupted.frame = {};
    interrupted.frame.ip = code(0);
    interrupted.frame.bp = address_of(0);
#ifdef __x86_64__
    interrupted.frame.sp = address_of(0);
#endif
    for (size_t i = 0; i < count; ++i) {
        interrupted.stack[2 * i] = i + 1 < count ? address_of(i + 1) : 0;
        interrupted.stack[2 * i + 1] = code(i + 1);
    }
}

chain_rules rules() {
    return {{{address_of(0), address_of(depth)}, sizeof interrupted.stack}, {}};
}

} // namespace

nmisafe::tracer::cpu& nmisafe_platform::tracer_cpu() {
    return machine::only;
}

TEST_CASE("samples in a trace") {
    REQUIRE(platform::hosted::set_up(text_patch::handle_breakpoint));
    immediate::use_workspace(workspace, 32);
    machine::begin();
    REQUIRE(tracer::set_up(*machine::descriptor).has_value());
    REQUIRE(tracer::add(tracer::events::sample::type).has_value());

    make_chain(3);
    CHECK(take_sample(interrupted.frame, rules()) == sample_end::off);
    CHECK(tracer::test::read_all(tracer::channel::samples).empty());

    REQUIRE(tracer::enable("sample").has_value());
    machine::only.tid = 42;
    {
        const tracer::inside_context nmi(ctf::context::nmi);
        CHECK(take_sample(interrupted.frame, rules()) == sample_end::written);
    }
    make_chain(depth);
    CHECK(take_sample(interrupted.frame, rules()) == sample_end::written);
    const auto found = tracer::test::read_all(tracer::channel::samples);
    REQUIRE(found.size() == 2);
    CHECK(found[0].name == "sample");
    CHECK(found[0].context.innermost == ctf::context::nmi);
    CHECK(found[0]["ip"].number == code(0));
    CHECK(found[0]["tid"].number == 42);
    CHECK(found[0]["chain"].addresses == std::vector<uint64_t>{code(1), code(2), code(3)});
    REQUIRE(found[1]["chain"].addresses.size() == most_in_chain);
    CHECK(found[1]["chain"].addresses.back() == code(most_in_chain));

    // Interrupted in the slot of a kprobe, and behind the copy there.
    kprobe::probe probe{};
    probe.address = probe.function = reinterpret_cast<uintptr_t>(sampled);
    probe.slot = reinterpret_cast<uintptr_t>(sampled_slot);
    REQUIRE(kprobe::insert(probe).has_value());
    for (const uintptr_t in_slot : {uintptr_t{0}, sampled_length}) {
        interrupted.frame.ip = probe.slot + in_slot;
        CHECK(take_sample(interrupted.frame, rules()) == sample_end::written);
        const auto one = tracer::test::read_all(tracer::channel::samples);
        REQUIRE(one.size() == 1);
        CHECK(one[0]["ip"].number == probe.address + in_slot);
    }
    REQUIRE(kprobe::remove(probe).has_value());
    REQUIRE(kprobe::release(probe).has_value());

    // Of too many, each is either there or counted.
    unsigned taken = 0;
    unsigned said_to_be_lost = 0;
    while (machine::buffer(tracer::channel::samples).lost[0] < 10 && taken < 1000) {
        const sample_end end = take_sample(interrupted.frame, rules());
        taken += end != sample_end::off;
        said_to_be_lost += end == sample_end::lost;
    }
    uint32_t lost = 0;
    for (const uint32_t one : machine::buffer(tracer::channel::samples).lost)
        lost += one;
    CHECK(lost >= 10);
    CHECK(lost == said_to_be_lost);
    CHECK(tracer::test::read_all(tracer::channel::samples).size() + lost == taken);
}
