// SPDX-License-Identifier: MIT
// kprobe-in-nmi, path compiled: the handler of NMIs itself, not a function it calls, with a probe
// on each of its instructions in turn, as they were compiled. The instructions are found as a user
// would find them, by decoding. How often each is executed is counted beforehand by the CPU: it
// single-steps the handler in a thread. With the probe on, the handler's result must be the same,
// and every execution a hit; meanwhile the probe's handlers raise NMIs.
#include "kernel/experiments/probes/compiled_handler.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

// kernel/instrumented; absent from all other images.
extern "C" [[gnu::weak]] const char __fentry__[];

namespace kernel {
namespace {

using namespace nmisafe;
using kprobe::probe;
using kprobe::probe_error;
using x86::trap_frame;

constexpr uint32_t input = 0x2468ace1;
constexpr uintptr_t most_text = 8192;

uint16_t executions[most_text]; // of the instruction that begins at this byte
uintptr_t last_stepped;
bool stepping;
uint64_t expected_result;

shared_count handlers_in_pass;
probe the_probe;

uintptr_t text_begin() {
    return reinterpret_cast<uintptr_t>(kernel_probed_begin);
}

uintptr_t text_end() {
    return reinterpret_cast<uintptr_t>(kernel_probed_end);
}

/// The next instruction is at frame.ip. A repeated string instruction traps each time round; it is
/// one hit.
bool on_debug(trap_frame& frame) {
    const uintptr_t offset = frame.ip - text_begin();
    if (frame.ip != last_stepped && offset < text_end() - text_begin())
        ++executions[offset];
    last_stepped = frame.ip;
    return true;
}

void count_executions() {
    trap::set_handler(X86_VECTOR_DB, on_debug);
    trap_frame frame{};
    const uintptr_t flags = x86::read_flags();
    last_stepped = 0;
    stepping = true;
    x86::write_flags(flags | X86_FLAGS_TF);
    compiled_handler(frame);
    x86::write_flags(flags);
    stepping = false;
    expected_result = compiled_result;
}

/// Until the second handler has been entered: so the instructions before its call to
/// entered_compiled_handler() bring a third one.
void raise_in_handler() {
    if (handlers_in_pass < 2)
        raise_nmi_here();
}

void on_pre(probe& what, trap_frame& frame) {
    if (frame.ip != what.address)
        fail("the pre handler's ip", what.address, frame.ip);
    raise_in_handler();
}

void on_post(probe&, trap_frame&) {
    raise_in_handler();
}

void raise_and_settle() {
    compiled_result = 0;
    raise_nmi_here();
    settle();
}

/// One NMI, and those raised in its handler.
void pass() {
    handlers_in_pass = 0;
    if (!run_guarded(raise_and_settle))
        return;
    if (handlers_in_pass != 2 && handlers_in_pass != 3)
        ++scene.count.lost;
    if (compiled_result != expected_result)
        fail("the handler's result", static_cast<uintptr_t>(expected_result),
             static_cast<uintptr_t>(compiled_result));
}

void expect_refusal(uintptr_t address, uintptr_t function) {
    probe inside{};
    inside.address = address;
    inside.function = function;
    const auto inserted = kprobe::insert(inside);
    if (inserted || inserted.error() != probe_error::not_boundary)
        fail("a probe inside an instruction", address, inserted ? 0 : 1);
}

/// @return the length of the instruction. Where none is found, all the rest.
uintptr_t probe_instruction(uintptr_t address) {
    the_probe = {};
    the_probe.address = the_probe.function = address;
    the_probe.slot = reinterpret_cast<uintptr_t>(probe_slots);
    the_probe.pre = on_pre;
    the_probe.post = on_post;
    const auto length = kprobe::insert(the_probe);
    if (!length) {
        fail("a probe was refused", address, static_cast<uintptr_t>(length.error()));
        return text_end() - address;
    }
    pass();
    const uint32_t calls = handlers_in_pass;
    const uint32_t wanted = calls * executions[address - text_begin()];
    if (the_probe.hits != wanted || the_probe.completed != wanted || the_probe.missed != 0)
        fail("hits", wanted, the_probe.hits != wanted ? the_probe.hits : the_probe.completed);
    if (!kprobe::remove(the_probe) || !kprobe::release(the_probe))
        fail("a probe was not removed", 1, 0);
    for (uintptr_t byte = 1; byte < *length; ++byte)
        expect_refusal(address + byte, address);
    return *length;
}

/// In an image compiled with -mfentry: a probe on what each function calls first, those among them
/// that insert and remove it. A call from the way between the INT3 and kprobe would have no end.
void probe_function_entry() {
    const auto entry = reinterpret_cast<uintptr_t>(__fentry__);
    if (entry == 0)
        return;
    the_probe = {};
    the_probe.address = the_probe.function = entry;
    the_probe.slot = reinterpret_cast<uintptr_t>(probe_slots);
    if (const auto length = kprobe::insert(the_probe); !length) {
        fail("a probe on __fentry__ was refused", 0, static_cast<uintptr_t>(length.error()));
        return;
    }
    pass();
    if (the_probe.hits == 0)
        fail("hits of a probe on __fentry__", 1, 0);
    if (!kprobe::remove(the_probe) || !kprobe::release(the_probe))
        fail("the probe on __fentry__ was not removed", 1, 0);
}

} // namespace

void entered_compiled_handler() {
    if (stepping)
        return;
    ++scene.count.handled;
    scene.honoured = scene.tickets;
    ++handlers_in_pass;
    if (handlers_in_pass == 1)
        raise_nmi_here();
}

void probe_compiled_handler() {
    set_scene(nullptr);
    if (text_end() - text_begin() > most_text)
        panic("too much text to be probed", nullptr, text_end() - text_begin());
    compiled_input = input;
    count_executions();
    trap::set_nmi_handler(compiled_handler);
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    pass();
    uint32_t hits = 0;
    for (uintptr_t address = text_begin(); address < text_end();) {
        address += probe_instruction(address);
        hits += the_probe.hits;
        scene.count.boundaries += the_probe.hits != 0;
    }
    probe_function_entry();
    print_row("compiled", false, {"hits", hits});
}

} // namespace kernel
