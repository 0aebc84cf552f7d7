// SPDX-License-Identifier: MIT
// Writes a trace as a kernel does, by the tracer: typed events, markers and a kprobe, in contexts
// that interrupt each other, on two CPUs, with losses. Says on standard output what is in it, each
// event as babeltrace2 is to show it:
//
//     write_tracer FOLDER
#include "nmisafe/ctf/metadata.hpp"
#include "nmisafe/ctf/table.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/platform/hosted/one_cpu.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/read.hpp"
#include "nmisafe/ring_buffer/write.hpp"
#include "nmisafe/tracer/kernel_events.hpp"
#include "nmisafe/tracer/markers.hpp"
#include "nmisafe/tracer/probes.hpp"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using namespace nmisafe;

asm(R"(
    .pushsection .text.probed, "ax", @progbits
    .balign 32
    .globl  probed, probed_slot
probed_slot:
    .skip   32, 0xcc
probed:
    movl    $0x5678, %ecx
    ret
    .popsection
)");

extern "C" {
extern const char probed_slot[];
void probed();
}

namespace {

constexpr uint32_t sub_buffer = 1024;
constexpr uint32_t sub_buffers = 4;
constexpr unsigned cpus = 2;
constexpr uint8_t uuid[16] = {0xf1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr const char* contexts[] = {"thread", "softirq",       "interrupt", "trap",
                                    "nmi",    "machine_check", "debug"};

using numbers = tracer::event<"numbers", tracer::channel::kernel, tracer::u8<"a">, tracer::i16<"b">,
                              tracer::i64<"event">, tracer::hex32<"h">>;

tracer::cpu machine[cpus];
tracer::cpu* here = machine;
text_patch::patch workspace[64];
constinit tracer::marker_event storage[4];
uint64_t lost;

void require(bool condition, const char* what) {
    if (condition)
        return;
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

uint64_t lost_now() {
    uint64_t sum = 0;
    for (const tracer::cpu& one : machine)
        for (const ring_buffer::header* buffer : one.buffers)
            for (unsigned i = 0; buffer != nullptr && i < ring_buffer::loss_count; ++i)
                sum += buffer->lost[i];
    return sum;
}

/// Does it, and says what it has written, if it was not lost.
template <typename Write>
[[gnu::format(printf, 3, 0)]] void vsay(Write write, const char* name, const char* fields,
                                        va_list values) {
    const uint64_t before = lost_now();
    write();
    if (lost_now() != before) {
        ++lost;
        return;
    }
    const tracer::context_word word = here->context;
    std::printf("%s cpu=%d context=%s depth=%d", name, int(here - machine), contexts[word & 0xff],
                word >> 8);
    std::printf(" ");
    std::vprintf(fields, values);
    std::printf("\n");
}
template <typename Write>
[[gnu::format(printf, 3, 4)]] void say(Write write, const char* name, const char* fields, ...) {
    va_list values;
    va_start(values, fields);
    vsay(write, name, fields, values);
    va_end(values);
}

void trace_one(unsigned i) {
    const uintptr_t calls[] = {0x1000, 0x2000, i};
    const unsigned depth = i % 4;
    switch (i % 6) {
    case 0:
        say([&] { tracer::trace<numbers>(uint8_t(i), int16_t(-300), -5, ~i); }, "numbers",
            "a = %u, b = -300, event = -5, h = 0x%X", i & 0xff, ~i);
        return;
    case 1:
        say(
            [&] {
                tracer::trace<tracer::events::sample>(calls, 7, tracer::chain{calls, depth});
            },
            "sample", "ip = 0x%" PRIXPTR ", tid = 7, chain = [%s%s%s ]",
            reinterpret_cast<uintptr_t>(calls), depth > 0 ? " [0] = 0x1000" : "",
            depth > 1 ? ", [1] = 0x2000" : "",
            depth > 2 ? (", [2] = 0x" +
                         [i] {
                             char text[16];
                             std::snprintf(text, sizeof text, "%X", i);
                             return std::string(text);
                         }())
                            .c_str()
                      : "");
        return;
    case 2:
        say([&] { trace_mark(net, packet, "len %u flags 0x%x", i, ~i); }, "net_packet",
            "len = %u, flags = 0x%X", i, ~i);
        return;
    case 3:
        say([&] { _trace_mark(net, name, "%s is %d", "eth0", int(i)); }, "net_name",
            "arg0 = \"eth0\", is = %u", i);
        return;
    case 4:
        say([&] { probed(); }, "kprobe", "ip = 0x%" PRIXPTR, reinterpret_cast<uintptr_t>(probed));
        return;
    default:
        say(
            [&] {
                tracer::trace<tracer::events::sched_switch>("idle", 0, 0, 0,
                                                            "a name that is too long", int(i), -1);
            },
            "sched_switch",
            "prev_comm = \"idle\", prev_tid = 0, prev_prio = 0, prev_state = 0, next_comm = "
            "\"a name that is t\", next_tid = %u, next_prio = -1",
            i);
    }
}

void trace_nested(unsigned i, unsigned deeper) {
    trace_one(i);
    if (deeper == 0)
        return;
    const tracer::inside_context inside(ctf::context(deeper % ctf::context_count));
    trace_nested(i + 1, deeper - 1);
}

void save(const std::string& path, const void* bytes, size_t size, const char* how) {
    std::FILE* const file = std::fopen(path.c_str(), how);
    require(file != nullptr && std::fwrite(bytes, 1, size, file) == size && std::fclose(file) == 0,
            "cannot write");
}

void take_all(const std::string& folder) {
    for (unsigned number = 0; number < cpus; ++number) {
        for (ring_buffer::header* buffer : machine[number].buffers) {
            if (buffer == nullptr)
                continue;
            while (const auto found = ring_buffer::take(*buffer)) {
                save(folder + "/" + buffer->name + "_" + std::to_string(number), found->header,
                     found->size, "ab");
                ring_buffer::release(*buffer);
            }
        }
    }
}

void close_all() {
    for (tracer::cpu& one : machine)
        for (ring_buffer::header* buffer : one.buffers)
            if (buffer != nullptr)
                ring_buffer::close_packet(*buffer, clock::trace_clock(one.clock));
}

void make_buffers() {
    constexpr uint32_t size = ring_buffer::block_size(sub_buffer, sub_buffers);
    alignas(64) static uint8_t memory[cpus][3][size];
    for (unsigned number = 0; number < cpus; ++number) {
        machine[number].tid = 100 + int(number);
        for (unsigned i = 0; i < 3; ++i)
            machine[number].buffers[i] = *ring_buffer::create(memory[number][i], size,
                                                              {.sub_buffer_size = sub_buffer,
                                                               .sub_buffer_count = sub_buffers,
                                                               .cpu = number,
                                                               .uuid = uuid,
                                                               .name = tracer::channel_names[i]});
    }
}

/// Of nothing but the descriptor, as a host does it.
void write_metadata(const std::string& folder, const trace_descriptor::descriptor& of) {
    std::vector<ctf::found_event> found;
    ctf::found_event one;
    const uint8_t* at = trace_descriptor::types_of(of);
    const uint8_t* const end = at + of.type_length;
    while (ctf::next_event(at, end, one))
        found.push_back(one);
    std::vector<ctf::event> events;
    for (const ctf::found_event& each : found)
        events.push_back(each.as_event());
    std::vector<const ctf::event*> pointers;
    for (const ctf::event& each : events)
        pointers.push_back(&each);
    ctf::trace about{.uuid = {},
                     .stream_id = of.stream_id,
                     .frequency = of.frequency,
                     .clock_offset = 0,
                     .tracer_name = of.tracer_name,
                     .domain = "kernel",
                     .has_context = of.has_context != 0};
    std::memcpy(about.uuid, of.uuid, sizeof uuid);
    std::vector<char> metadata(65536);
    ctf::text to(metadata.data(), metadata.size());
    require(ctf::write_metadata(to, about, pointers.data(), pointers.size()), "metadata");
    save(folder + "/metadata", metadata.data(), to.length(), "wb");
}

} // namespace

nmisafe::tracer::cpu& nmisafe_platform::tracer_cpu() {
    return *here;
}

int main(int count, char** arguments) {
    require(count == 2, "a folder");
    const std::string folder = arguments[1];
    require(platform::hosted::set_up([](x86::trap_frame& frame) {
                return text_patch::handle_breakpoint(frame) || kprobe::handle_breakpoint(frame);
            }),
            "this system does not let a program change its own code");
    immediate::use_workspace(workspace, 64);
    tracer::use_marker_storage(storage, 4);
    platform::hosted::stay_on_this_cpu();
    clock::tsc_is_good = true;
    alignas(4096) static uint8_t memory[16384];
    const auto made = trace_descriptor::create_descriptor(
        memory, sizeof memory,
        {.physical = 0, .frequency = 1'000'000'000, .uuid = uuid, .type_capacity = 4096});
    require(made.has_value(), "descriptor");
    make_buffers();
    require(tracer::set_up(**made).has_value() && tracer::add_kernel_events().has_value() &&
                tracer::add(numbers::type).has_value(),
            "types");
    require(tracer::enable("*").has_value() && tracer::enable("net", "*").has_value(), "enable");
    kprobe::probe probe{};
    probe.address = probe.function = reinterpret_cast<uintptr_t>(probed);
    probe.slot = reinterpret_cast<uintptr_t>(probed_slot);
    require(tracer::probe(probe).has_value(), "probe");

    for (unsigned i = 0; i < 3000; ++i) {
        here = &machine[i % cpus];
        trace_nested(i, i % 5);
        if (i % 1000 < 800) // for the rest the buffers fill
            take_all(folder);
    }
    close_all();
    take_all(folder);
    // What was lost behind the last packet's end is in no packet: an event more in each.
    for (tracer::cpu& one : machine) {
        here = &one;
        for (unsigned i = 0; i < 6; ++i)
            trace_one(i);
    }
    close_all();
    take_all(folder);
    write_metadata(folder, **made);
    std::printf("lost %" PRIu64 "\n", lost);
}
