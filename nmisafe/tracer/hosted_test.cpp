// SPDX-License-Identifier: MIT
// Events in a program that patches itself: what is written is read by whoever has the memory only.
//
// Built for -O0 to -O3, both widths, ld and lld with --gc-sections; see CMakeLists.txt.
#include "nmisafe/tracer/hosted_test.hpp"

#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/hosted/checks.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/tracer/kernel_events.hpp"

#include <cstdio>

nmisafe::tracer::cpu& nmisafe_platform::tracer_cpu() {
    return nmisafe::tracer::test::machine::only;
}

namespace nmisafe::tracer::test {

namespace {

namespace hosted = platform::hosted;

text_patch::patch workspace[64];

using packet = event<"net_packet", channel::kernel, u32<"length">, string<"device", 8>>;
using every_kind =
    event<"every_kind", channel::other, u8<"a">, u16<"b">, u32<"c">, u64<"d">, i8<"e">, i16<"f">,
          i32<"g">, i64<"h">, string<"event", 4>, addresses<"chain", 3>, hex64<"pointer">>;
using twin_of_packet = event<"net_packet", channel::kernel, u32<"length">, string<"device", 9>>;
using not_a_twin = event<"net_packet", channel::kernel, i32<"length">, string<"device", 8>>;

[[gnu::noinline]] void send(uint32_t length, const char* device) {
    trace<packet>(length, device);
    trace_load<packet>(length + 1, device);
}

/// What send() writes: its two events, or nothing.
bool sends(bool on) {
    send(100, "eth0");
    const auto found = read_all(channel::kernel);
    if (!on)
        return found.empty();
    return found.size() == 2 && found[0].name == "net_packet" && found[0]["length"].number == 100 &&
           found[0]["device"].text == "eth0" && found[1]["length"].number == 101;
}

void test_set_up() {
    const auto nothing_yet = evict({0, ~uintptr_t{0}});
    CHECK(nothing_yet && *nothing_yet == 0);
    const auto too_early = enable("net_packet");
    CHECK(!too_early && too_early.error() == tracer_error::not_set_up);
    CHECK(!add(packet::type).has_value());
    machine::begin();
    CHECK(set_up(*machine::descriptor).has_value());
    const auto again = set_up(*machine::descriptor);
    CHECK(!again && again.error() == tracer_error::not_set_up);
    const auto count = add_kernel_events();
    CHECK(count && *count == 14);
    CHECK(events::sample::type.id() < ring_buffer::extended_id);
}

void test_on_and_off() {
    CHECK(sends(false));
    const auto unknown = enable("net_*");
    CHECK(unknown && *unknown == 0);
    CHECK(sends(false));
    CHECK(disable("*").has_value());
    const auto id = add(packet::type);
    CHECK(id && *id == packet::type.id() && *id != 0);
    CHECK(sends(false));
    const auto twice = add(packet::type);
    CHECK(!twice && twice.error() == tracer_error::known_already);
    immediate::use_workspace(workspace, 0);
    const auto no_room = enable("net_*");
    CHECK(!no_room && no_room.error() == tracer_error::no_room);
    immediate::use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
    CHECK(sends(false));
    CHECK(remove(packet::type).has_value() && add(packet::type).has_value());
    CHECK(sends(false)); // what failed is not remembered
    const auto on = enable("net_*");
    CHECK(on && *on == 1);
    CHECK(packet::type.is_on());
    CHECK(sends(true));
    CHECK(disable("net_packe?").has_value());
    CHECK(sends(false));
    const std::string long_pattern(longest_pattern + 1, 'x');
    const auto bad = enable(long_pattern.c_str());
    CHECK(!bad && bad.error() == tracer_error::bad_pattern);
}

/// Events come and go, as those of modules do: they are turned on by what was asked for before, and
/// keep their number.
void test_coming_and_going() {
    const uint32_t id = packet::type.id();
    CHECK(enable("net_*").has_value());
    CHECK(remove(packet::type).has_value());
    const auto gone = remove(packet::type);
    CHECK(!gone && gone.error() == tracer_error::not_known);
    CHECK(disable("net_packet").has_value());
    CHECK(sends(true)); // it is left as it is
    const uint32_t types = machine::descriptor->type_length;
    const auto back = add(packet::type);
    CHECK(back && *back == id && machine::descriptor->type_length == types);
    CHECK(sends(false));
    CHECK(remove(packet::type).has_value());
    CHECK(enable("n?t_*").has_value());
    CHECK(add(packet::type).has_value());
    CHECK(sends(true));
    const auto same_type = add(twin_of_packet::type);
    CHECK(same_type && *same_type == id && twin_of_packet::type.is_on());
    const auto other_type = add(not_a_twin::type);
    CHECK(other_type && *other_type != id && machine::descriptor->type_length > types);
    CHECK(disable("*").has_value());
    CHECK(!packet::type.is_on() && !twin_of_packet::type.is_on());
}

void test_values() {
    CHECK(add(every_kind::type).has_value());
    CHECK(enable("every_kind").has_value());
    const uintptr_t calls[] = {1, ~uintptr_t{0}, 3, 4};
    enum class colour : uint16_t { red = 0xfedc };
    struct {
        unsigned bits : 5;
    } field = {21};
    char text[] = "text that is too long";
    trace<every_kind>(uint8_t{0xfe}, colour::red, 0xfedcba98, 0xfedcba9876543210u, int8_t{-2},
                      int16_t{-300}, -70000, int64_t{-1} << 40, text, chain{calls, 4}, &calls);
    trace<every_kind>(true, uint8_t{1}, field.bits, -1, int8_t{1}, int8_t{-1}, int16_t{-1}, -1,
                      static_cast<const char*>(nullptr), chain{nullptr, 0}, 0);
    const auto found = read_all(channel::other);
    CHECK(found.size() == 2);
    if (found.size() != 2)
        return;
    const decoded& one = found[0];
    CHECK(one["a"].number == 0xfe && one["b"].number == 0xfedc && one["c"].number == 0xfedcba98);
    CHECK(one["d"].number == 0xfedcba9876543210u && one["e"].number == 0xfe);
    CHECK(one["f"].number == uint16_t(-300) && one["g"].number == uint32_t(-70000));
    CHECK(one["h"].number == uint64_t{0xffffff} << 40);
    CHECK(one["event"].text == "text");
    CHECK((one["chain"].addresses == std::vector<uint64_t>{1, ~uintptr_t{0}, 3}));
    CHECK(one["pointer"].number == reinterpret_cast<uintptr_t>(&calls));
    const decoded& two = found[1];
    CHECK(two["a"].number == 1 && two["b"].number == 1 && two["c"].number == 21);
    CHECK(two["d"].number == ~uint64_t{0} && two["f"].number == 0xffff);
    CHECK(two["g"].number == 0xffffffff && two["h"].number == ~uint64_t{0});
    CHECK(two["event"].text.empty() && two["chain"].addresses.empty());
    CHECK(one.time < two.time);
    CHECK(disable("*").has_value());
}

/// Whoever changes a text while it is written cannot have the event read as something else.
void test_changed_text() {
    char text[] = "abcdef";
    const auto measured = internal::measured_text::make(text, 5);
    text[2] = 0;
    uint8_t to[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    CHECK(measured.size() == 6 && measured.write(to) == to + 6);
    CHECK(std::memcmp(to, "ab?de\0\1\1", 8) == 0);
}

void test_context() {
    CHECK(enable("net_packet").has_value());
    trace<packet>(0, "");
    {
        const inside_context interrupt(ctf::context::interrupt);
        trace<packet>(1, "");
        const context_word before = enter(ctf::context::trap);
        trace<packet>(2, "");
        {
            const inside_context nmi(ctf::context::nmi);
            trace<packet>(3, "");
        }
        trace<packet>(4, "");
        leave(before);
        trace<packet>(5, "");
    }
    trace<packet>(6, "");
    const auto found = read_all(channel::kernel);
    using enum ctf::context;
    const ctf::context contexts[] = {thread, interrupt, trap, nmi, trap, interrupt, thread};
    const unsigned depths[] = {0, 1, 2, 3, 2, 1, 0};
    CHECK(found.size() == 7);
    for (unsigned i = 0; i < found.size(); ++i) {
        CHECK(found[i]["length"].number == i);
        CHECK(found[i].context.innermost == contexts[i] && found[i].context.depth == depths[i]);
    }
    CHECK(nmisafe_platform::count == 0);
}

/// Each packet begins with who runs, whatever opens it.
void test_packet_state() {
    unsigned states = 0;
    unsigned events = 0;
    unsigned packets = 0;
    for (unsigned i = 0; i < 3000; ++i) {
        machine::only.tid = static_cast<int32_t>(i);
        const inside_context here(ctf::context::softirq);
        trace<packet>(i, "12345678");
        if (i % 500 != 499)
            continue;
        const auto found = read_all(channel::kernel, true);
        for (size_t at = 0; at < found.size(); ++at) {
            const decoded& one = found[at];
            const bool is_state = one.name == "packet_state";
            CHECK(is_state == one.is_first);
            packets += one.is_first;
            events += !is_state;
            states += is_state;
            if (!is_state)
                continue;
            const bool has_next = at + 1 < found.size();
            CHECK(has_next && found[at + 1]["length"].number == one["tid"].number);
            CHECK(has_next && found[at + 1].time == one.time);
            CHECK(one.context.innermost == ctf::context::softirq && one.context.depth == 1);
        }
    }
    CHECK(events == 3000 && states == packets && packets > 12);
}

/// Whoever has forgotten its events leaves none behind, and takes none of its neighbours along.
void test_evicted() {
    constinit static immediate::immediate<bool> on[3]{};
    alignas(event_type) static char memory[3][sizeof(event_type)];
    const auto begin = reinterpret_cast<uintptr_t>(memory[1]);
    const auto make = [&](size_t i, const char* name) -> event_type& {
        return *new (memory[i]) event_type(name, packet::fields, 2, on[i]);
    };
    event_type& before = make(0, "evicted_before");
    event_type& inside = make(1, "evicted_inside");
    event_type& behind = make(2, "evicted_behind");
    for (event_type* one : {&before, &inside, &behind})
        CHECK(add(*one).has_value());
    const auto none = evict({begin, begin});
    CHECK(none && *none == 0);
    const auto count = evict({begin, begin + sizeof(event_type)});
    CHECK(count && *count == 1);
    std::memset(memory[1], 0xcc, sizeof memory[1]); // it is another's from here on
    const auto matching = enable("evicted_*");
    CHECK(matching && *matching == 2);
    CHECK(on[0].stored() && !on[1].stored() && on[2].stored());
    const auto by_one_byte = evict({begin - 1, begin});
    CHECK(by_one_byte && *by_one_byte == 1 && remove(behind).has_value());
    CHECK(!remove(before).has_value());
}

/// With each size an event may have, to and over the largest.
void test_sizes() {
    using big = event<"big", channel::kernel, string<"text", 8000>>;
    CHECK(add(big::type).has_value() && enable("big").has_value());
    const std::string text(8000, 'x');
    const uint32_t before = machine::buffer(channel::kernel).lost[2];
    unsigned lost = 0;
    for (size_t size = 3900; size < 4100; ++size) {
        trace<big>(text.c_str() + text.size() - size);
        const auto found = read_all(channel::kernel, true);
        lost += found.empty();
        CHECK(found.empty() ||
              (found.size() == 2 && found[0].is_first && found[1]["text"].text.size() == size));
        CHECK(found.empty() == (lost != 0));
    }
    CHECK(lost > 50 && lost < 150);
    CHECK(machine::buffer(channel::kernel).lost[2] - before == lost);
}

void test_no_buffer() {
    auto*& buffer = machine::only.buffers[static_cast<unsigned>(channel::kernel)];
    auto* const kept = buffer;
    buffer = nullptr;
    trace<packet>(1, "");
    CHECK(machine::only.unrecorded == 1 && nmisafe_platform::count == 0);
    buffer = kept;
    CHECK(read_all(channel::kernel).empty());
}

} // namespace

extern "C" int main() {
    const auto on_breakpoint = [](x86::trap_frame& frame) {
        return text_patch::handle_breakpoint(frame) || kprobe::handle_breakpoint(frame);
    };
    if (!hosted::set_up(on_breakpoint)) {
        std::printf("this system does not let a program change its own code\n");
        return 1;
    }
    hosted::say_state = [] {
        std::printf("  %u breakpoints, %u synchronisations, now %llu\n",
                    hosted::process.breakpoints, hosted::process.synchronisations,
                    static_cast<unsigned long long>(x86::read_tsc()));
        say_last_read();
    };
    immediate::use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
    test_set_up();
    test_on_and_off();
    test_coming_and_going();
    test_values();
    test_changed_text();
    test_context();
    test_packet_state();
    test_evicted();
    test_sizes();
    test_no_buffer();
    test_markers_and_probes();
    std::printf("checks %u, failures %u, breakpoints %u\n", hosted::checks, hosted::failures,
                hosted::process.breakpoints);
    return hosted::failures == 0 ? 0 : 1;
}

} // namespace nmisafe::tracer::test
