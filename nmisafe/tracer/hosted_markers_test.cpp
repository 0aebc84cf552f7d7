// SPDX-License-Identifier: MIT
// Markers and probes of instructions as events, of the program and of an image that comes and goes.
#include "nmisafe/marker/join_test.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/platform/hosted/checks.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/tracer/hosted_test.hpp"
#include "nmisafe/tracer/markers.hpp"
#include "nmisafe/tracer/probes.hpp"

// A function of its own, and a slot, in the program's text.
asm(R"(
    .pushsection .text.probed, "ax", @progbits
    .balign 32
    .globl  probed, probed_at, probed_slot
probed_slot:
    .skip   32, 0xcc
probed:
    movl    $0x1234, %eax
    xorl    %ecx, %ecx
probed_at:
    movl    $0x5678, %ecx
    ret
    .popsection
)");

extern "C" {
extern const char probed_at[];
extern const char probed_slot[];
void probed();
}

namespace nmisafe::tracer::test {

namespace {

constinit marker_event storage[4]; // what g++ 12 makes of it is no matter

[[gnu::noinline]] void mark_packet(unsigned length, const char* name) {
    trace_mark(net, packet, "len %u flags 0x%x name %s", length, ~length, name);
    _trace_mark(net, packet, "len %u flags 0x%x name %s", length + 1, ~length, name);
}

[[gnu::noinline]] void mark_lost() {
    trace_mark(net, lost, MARK_NOARGS);
    trace_mark(disk, read, "%hhd %hu %llx %c %p", int8_t{-3}, uint16_t{0xfffe}, 1ULL << 40, 'x',
               &storage);
}

[[gnu::noinline]] void mark_shared(unsigned value) {
    trace_mark(join, shared, "value %u", value);
}

std::vector<decoded> marked() {
    mark_packet(100, "eth0");
    mark_lost();
    return read_all(channel::markers);
}

void test_program() {
    CHECK(marked().empty());
    const auto on = enable("net", "*");
    CHECK(on && *on == 2);
    {
        const inside_context here(ctf::context::interrupt);
        mark_packet(99, "");
    }
    CHECK(read_all(channel::markers)[0].context.innermost == ctf::context::interrupt);
    const auto found = marked();
    CHECK(found.size() == 3);
    CHECK(found[0].name == "net_packet" && found[0].values.size() == 3);
    CHECK(found[0]["len"].number == 100 && found[0]["flags"].number == ~100U);
    CHECK(found[0]["name"].text == "eth0" && found[1]["len"].number == 101);
    CHECK(found[2].name == "net_lost" && found[2].values.empty());
    const std::string endless(300, 'x');
    mark_packet(1, endless.c_str());
    mark_packet(1, nullptr);
    const auto cut = read_all(channel::markers);
    CHECK(cut[0]["name"].text == endless.substr(0, longest_text) && cut[2]["name"].text.empty());

    CHECK(disable("net", "packet").has_value());
    const auto rest = marked();
    CHECK(rest.size() == 1 && rest[0].name == "net_lost");
    const auto again = enable("*", "*");
    CHECK(again && *again == 4);
    const auto all = marked();
    CHECK(all.size() == 4 && all[0].id == found[0].id && all[2].id == found[2].id);
    const decoded& types = all[3];
    CHECK(types.name == "disk_read");
    CHECK(types["arg0"].number == 0xfd && types["arg1"].number == 0xfffe);
    CHECK(types["arg2"].number == uint64_t{1} << 40 && types["arg3"].number == 'x');
    CHECK(types["arg4"].number == reinterpret_cast<uintptr_t>(&storage));
    CHECK(disable("*", "*").has_value());
    CHECK(marked().empty());
}

void test_errors() {
    CHECK(enable("", "*").error() == tracer_error::bad_pattern);
    const std::string long_pattern(longest_pattern + 1, 'x');
    CHECK(enable("net", long_pattern.c_str()).error() == tracer_error::bad_pattern);
    use_marker_storage(storage, 1);
    CHECK(enable("net", "*").error() == tracer_error::no_room);
    CHECK(marked().size() != 0 && disable("net", "*").has_value());
    use_marker_storage(storage, 4);
    nmisafe_platform::cpu.nmi_in_progress = 1;
    CHECK(enable("net", "*").error() == tracer_error::in_nmi);
    nmisafe_platform::cpu.nmi_in_progress = 0;
    CHECK(marked().empty());
}

/// Of the image: one marker that the program has too, one of its own.
std::vector<decoded> hit_image(const marker::test::image& loaded) {
    loaded.hit_shared(1);
    loaded.hit_own();
    mark_shared(2);
    return read_all(channel::markers);
}

void test_image() {
    marker::test::image loaded;
    CHECK(hit_image(loaded).empty());
    CHECK(enable("join", "*").has_value() && disable("join", "none").has_value());
    const auto program_only = hit_image(loaded);
    CHECK(program_only.size() == 1 && program_only[0]["value"].number == 2);

    uint32_t own_id = 0;
    for (unsigned turn = 0; turn < 3; ++turn) {
        CHECK(marker::join(loaded.range).has_value());
        const auto connected = markers_have_joined();
        CHECK(connected && *connected == 1); // "own"; not "none", and "shared" is one already
        const auto found = hit_image(loaded);
        CHECK(found.size() == 3);
        if (found.size() != 3)
            return;
        CHECK(found[0].name == "join_shared" && found[0]["value"].number == 1);
        CHECK(found[1].name == "join_own" && found[1]["a"].number == 1);
        CHECK(found[1]["b"].number == 2 && found[2]["value"].number == 2);
        CHECK(turn == 0 || own_id == found[1].id);
        own_id = found[1].id;

        const auto left = marker::leave(loaded.range);
        CHECK(left && *left == 1);
        const auto rest = hit_image(loaded);
        CHECK(rest.size() == 1 && rest[0]["value"].number == 2);
        if (turn < 2) // then the tracer waits itself when it needs the storage again
            CHECK(marker::synchronise().has_value());
    }
    // The place of "own" is free again: four markers have room.
    CHECK(enable("net", "*").has_value() && enable("disk", "*").has_value());
    CHECK(marked().size() == 4);
    CHECK(disable("*", "*").has_value());
    CHECK(marker::synchronise().has_value());
    CHECK(hit_image(loaded).empty());
}

void test_probes() {
    const auto address = reinterpret_cast<uintptr_t>(probed_at);
    kprobe::probe what{};
    what.address = address;
    what.function = reinterpret_cast<uintptr_t>(probed);
    what.slot = reinterpret_cast<uintptr_t>(probed_slot);
    const auto inserted = tracer::probe(what);
    CHECK(inserted && *inserted == 5);
    {
        const inside_context here(ctf::context::softirq);
        probed();
    }
    probed();
    CHECK(kprobe::remove(what).has_value() && kprobe::release(what).has_value());
    probed();
    const auto found = read_all(channel::markers);
    CHECK(found.size() == 2);
    for (const decoded& one : found) {
        CHECK(one.name == "kprobe" && one["ip"].number == address);
        CHECK(one["ax"].number == 0x1234 && one["cx"].number == 0);
        CHECK((one["flags"].number & 2) != 0);
        CHECK(one.values.size() == (sizeof(void*) == 8 ? 18 : 10));
    }
    CHECK(found[0].context.innermost == ctf::context::softirq);
    CHECK(found[1].context.innermost == ctf::context::thread);
}

} // namespace

void test_markers_and_probes() {
    use_marker_storage(storage, 4);
    test_program();
    test_errors();
    test_image();
    test_probes();
}

} // namespace nmisafe::tracer::test
