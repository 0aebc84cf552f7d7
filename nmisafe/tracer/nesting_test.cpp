// SPDX-License-Identifier: MIT
// An event that is interrupted at each of its instructions by an NMI with an event of its own.
#include "nmisafe/platform/fake/single_step.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/tracer/event.hpp"
#include "nmisafe/tracer/machine_test.hpp"

#include <doctest/doctest.h>

using namespace nmisafe;
using namespace nmisafe::tracer;

namespace {

using numbered = event<"numbered", channel::kernel, u32<"number">>;

/// Leaves so much room in a packet.
using filler = event<"filler", channel::kernel, u32<"number">, string<"text", 4000>>;

unsigned count;

void leave_room(uint32_t room) {
    static const std::string text(4000, 'x');
    constexpr uint32_t state = ring_buffer::compact_header_size + internal::packet_opening::size;
    constexpr uint32_t rest =
        ring_buffer::compact_header_size + internal::context_size + sizeof(uint32_t) + sizeof(char);
    const uint32_t length =
        test::machine::sub_buffer - ring_buffer::packet_header_size - state - rest - room;
    tracer::record<filler>(++count, text.c_str() + text.size() - length);
}

void write_one() {
    tracer::record<numbered>(__sync_add_and_fetch(&count, 1));
}

void begin_nmi_event() {
    const inside_context nmi(ctf::context::nmi);
    write_one();
}

struct {
    unsigned events;
    unsigned nested;
    unsigned packets;
    unsigned wrong;
} seen;

void look(const std::vector<test::decoded>& found) {
    static std::vector<bool> numbers;
    numbers.assign(count + 1, false);
    uint64_t time = 0;
    for (const test::decoded& one : found) {
        seen.wrong += one.time < time;
        time = one.time;
        const bool is_state = one.name == "packet_state";
        seen.wrong += one.is_first != is_state;
        seen.packets += one.is_first;
        const bool is_nmi = one.context.innermost == ctf::context::nmi;
        seen.wrong += one.context.depth != (is_nmi ? 1 : 0);
        if (is_state)
            continue;
        const auto number = static_cast<size_t>(one["number"].number);
        const bool is_new = number != 0 && number <= count && !numbers[number];
        seen.wrong += !is_new;
        if (is_new)
            numbers[number] = true;
        ++seen.events;
        seen.nested += is_nmi;
    }
    for (unsigned number = 1; number <= count; ++number)
        seen.wrong += !numbers[number];
}

} // namespace

nmisafe::tracer::cpu& nmisafe_platform::tracer_cpu() {
    return nmisafe::tracer::test::machine::only;
}

TEST_CASE("an NMI's event at each instruction of an event, wherever in a packet") {
    test::machine::begin();
    REQUIRE(set_up(*test::machine::descriptor).has_value());
    REQUIRE((add(numbered::type).has_value() && add(filler::type).has_value()));
    unsigned expected = 0;
    unsigned runs = 0;
    const auto run = [&](uint32_t room, unsigned at) {
        count = 0;
        leave_room(room);
        bool was_there = false;
        platform::fake::step_through(write_one, [&](const platform::fake::boundary& now) {
            if (now.number != at)
                return;
            was_there = true;
            begin_nmi_event();
            platform::fake::stop_stepping();
        });
        expected += count;
        look(test::read_all(channel::kernel, true));
        ++runs;
        return was_there;
    };
    // None; not quite for one of them, or for two, and just so.
    constexpr uint32_t size =
        ring_buffer::compact_header_size + internal::context_size + sizeof(uint32_t);
    for (const uint32_t room : {0U, size - 1, size, 2 * size - 1, 2 * size, 3 * size})
        for (unsigned at = 0; run(room, at); ++at) {
        }
    CHECK(seen.wrong == 0);
    CHECK(seen.events == expected);
    CHECK(seen.nested + 6 == runs);
    CHECK(seen.packets > runs + runs / 2);
    CHECK(seen.packets < 2 * runs);
    CHECK(test::machine::only.context == 0);
    CHECK(nmisafe_platform::count == 0);
    for (const uint32_t lost : test::machine::buffer(channel::kernel).lost)
        CHECK(lost == 0);
}
