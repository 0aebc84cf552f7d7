// SPDX-License-Identifier: MIT
#include "kernel/trace/trace.hpp"

#include "kernel/common/image.hpp"
#include "kernel/common/spinlock.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/events/clock.hpp"
#include "kernel/events/counts.hpp"
#include "kernel/events/descriptor.hpp"
#include "kernel/events/emit.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/trace/synchrony.hpp"
#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/tracer/kernel_events.hpp"
#include "nmisafe/trap/breakpoint_dispatch.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"
#include "nmisafe/x86/tsc.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

/// The buffers of each CPU. With 8 CPUs some 5 MiB.
constexpr struct {
    uint32_t sub_buffer;
    uint32_t count;
} sizes[tracer::channel_count] = {
    {32 << 10, 8}, // kernel
    {16 << 10, 8}, // samples
    {16 << 10, 4}, // markers
    {0, 0},        // other: this kernel has nothing for it
};

constexpr size_t uuid_size = 16;

text_patch::patch* workspace;
size_t workspace_size;

struct block {
    uintptr_t physical;
    size_t size;
};

block allocate(size_t size) {
    const size_t pages = (size + page_size - 1) / page_size;
    const uintptr_t physical = try_allocate_contiguous(pages);
    if (physical == 0)
        panic("no memory for a trace", nullptr, size);
    return {physical, size};
}

/// Different from that of other boots, whatever they are for.
void make_uuid(uint8_t (&uuid)[uuid_size]) {
    uint64_t state = x86::read_tsc() ^ reference_ticks() << 32;
    for (uint8_t& byte : uuid) {
        state = state * 6364136223846793005 + 1442695040888963407; // Knuth's MMIX
        byte = static_cast<uint8_t>(state >> 56);
    }
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40); // version 4 [RFC 4122, 4.4]
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
}

void start_clocks() {
    clock::tsc_is_good = x86::has_invariant_tsc();
    for (uint32_t id = 1; id < cpu_count() && clock::tsc_is_good; ++id)
        clock::tsc_is_good = has_same_tsc(id);
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id, [](void*) { start_trace_clock(); }, nullptr);
        wait(id);
    }
}

trace_descriptor::descriptor& make_descriptor() {
    uint8_t uuid[uuid_size];
    make_uuid(uuid);
    trace_descriptor::descriptor_parameters wanted{
        .frequency = trace_frequency(), .uuid = uuid, .system = "nmisafe reference kernel"};
    const block memory = allocate(trace_descriptor::descriptor_size(wanted));
    wanted.physical = memory.physical;
    const auto made = trace_descriptor::create_descriptor(physical_to_virtual(memory.physical),
                                                          memory.size, wanted);
    if (!made)
        panic("no descriptor of a trace", nullptr, static_cast<uintptr_t>(made.error()));
    const uintptr_t begin = text_address(kernel_text_begin);
    const trace_descriptor::code_image image{.begin = begin,
                                             .size = text_address(kernel_text_end) - begin,
                                             .linked = begin,
                                             .file = "kernel"};
    static_cast<void>(trace_descriptor::add_image(**made, image)); // its first: there is room
    return **made;
}

void add_buffer(trace_descriptor::descriptor& to, uint32_t id, unsigned channel,
                ring_buffer::mode mode) {
    const auto& size = sizes[channel];
    if (size.count == 0)
        return;
    const block memory = allocate(ring_buffer::block_size(size.sub_buffer, size.count));
    const auto made = ring_buffer::create(physical_to_virtual(memory.physical), memory.size,
                                          {.sub_buffer_size = size.sub_buffer,
                                           .sub_buffer_count = size.count,
                                           .mode = mode,
                                           .cpu = id,
                                           .stream_id = to.stream_id,
                                           .frequency = to.frequency,
                                           .clock_offset = to.clock_offset,
                                           .uuid = to.uuid,
                                           .name = tracer::channel_names[channel]});
    if (!made ||
        !trace_descriptor::add_place(to, {memory.physical, static_cast<uint32_t>(memory.size), id}))
        panic("no buffer of a trace", nullptr, channel);
    cpu_at(id).tracer->buffers[channel] = *made;
}

/// The experiment that has run may have set its own.
void prepare_to_patch() {
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    trap::set_breakpoint_dispatch(dispatch_patched_breakpoint);
    immediate::use_workspace(workspace, workspace_size);
}

void expect(const base::expected<size_t, tracer::tracer_error>& done, const char* what) {
    if (!done)
        panic(what, nullptr, static_cast<uintptr_t>(done.error()));
}

} // namespace

void set_up_trace(text mode) {
    if (mode.empty())
        return;
    const bool overwrites = mode == "overwrite";
    if (!overwrites && !(mode == "on"))
        panic("unknown value of trace=", nullptr, 0);
    start_clocks();
    trace_descriptor::descriptor& made = make_descriptor();
    for (uint32_t id = 0; id < cpu_count(); ++id)
        for (unsigned channel = 0; channel < tracer::channel_count; ++channel)
            add_buffer(made, id, channel,
                       overwrites ? ring_buffer::mode::overwrite : ring_buffer::mode::discard);
    workspace_size = immediate::site_count();
    workspace = static_cast<text_patch::patch*>(
        physical_to_virtual(allocate(workspace_size * sizeof(text_patch::patch)).physical));
    prepare_to_patch();
    expect(tracer::set_up(made), "no trace");
    expect(tracer::add_kernel_events(), "no events");
    __atomic_store_n(&trace_in_memory, &made, __ATOMIC_RELEASE);
    expect(tracer::enable("*"), "events cannot be turned on");
}

void stop_tracing() {
    if (!is_traced())
        return;
    x86::enable_interrupts(); // for the other CPUs to be reached: an experiment may leave them off
    prepare_to_patch();
    expect(tracer::disable("*"), "events cannot be turned off");
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        run_on(
            id,
            [](void*) {
                const interrupts_off off;
                close_packets();
            },
            nullptr);
        wait(id);
    }
}

void end_trace() {
    if (!is_traced())
        return;
    stop_tracing();
    const event_counts counts = count_events();
    print("trace: generated=", counts.generated, " written=", counts.written, " lost=", counts.lost,
          " unrecorded=", counts.unrecorded, "\n");
    // A control may abandon a handler in the middle of an event.
    if (option("without").empty() && !counts.are_exact())
        panic("events are neither in the trace nor lost", nullptr,
              static_cast<uintptr_t>(counts.generated - counts.written - counts.lost -
                                     counts.unrecorded));
    note_machine_state(trace_descriptor::machine_state::ended);
}

} // namespace kernel
