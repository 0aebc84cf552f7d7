// SPDX-License-Identifier: MIT
// crash-*: what must stop the machine with one line that says what and where. Each ends in a failed
// row; ./test looks at the line.
#include "kernel/experiments/machine/crashes.hpp"
#include "kernel/boot/layout.h"
#include "kernel/cpu/try_read.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/modules/modules.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

bool spoil_flags(trap_frame& frame) {
    frame.flags = static_cast<decltype(frame.flags)>(0xdead0000);
    return true;
}

/// Ring 0, and no code: IRET would fault on it.
bool spoil_segment(trap_frame& frame) {
    frame.cs = KERNEL_DATA_SELECTOR;
    return true;
}

/// Each call leaves something on the stack that is needed afterwards.
[[gnu::noinline]] uintptr_t dive(volatile uintptr_t* above) {
    volatile uintptr_t here[64] = {};
    here[0] = *above + 1;
    if (here[0] == 0)
        return 0; // never: the stack is smaller than that
    return dive(here) + here[0];
}

} // namespace

void crash_double_fault() {
    // A trap with no stack to land on.
#ifdef __x86_64__
    asm volatile("mov %[nowhere], %%rsp\n\tint3" : : [nowhere] "r"(uintptr_t{0x1000}));
#else
    asm volatile("mov %[nowhere], %%esp\n\tint3" : : [nowhere] "r"(uintptr_t{0x1000}));
#endif
}

void overflow_stack() {
    volatile uintptr_t start = 0;
    dive(&start);
}

void crash_stack_overflow() {
    overflow_stack();
}

void crash_unexpected() {
    asm volatile("ud2");
}

void crash_corrupt_frame() {
    nmisafe::trap::set_handler(X86_VECTOR_BP, spoil_flags);
    hit_breakpoint();
}

void crash_bad_segment() {
    nmisafe::trap::set_handler(X86_VECTOR_BP, spoil_segment);
    hit_breakpoint();
}

/// By an instruction with a probe on it: what faults is its copy.
void crash_probed_access() {
    static constinit nmisafe::kprobe::probe probe{};
    set_scene([](trap_frame&) {
        uint32_t value = 0;
        try_read(reinterpret_cast<const void*>(uintptr_t{0x1000}), value);
    });
    set_up_patching();
    probe.function = reinterpret_cast<uintptr_t>(kernel_try_read);
    probe.address = text_address(kernel_try_read_access);
    probe.slot = reinterpret_cast<uintptr_t>(probe_slots);
    nmisafe::trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    if (const auto inserted = nmisafe::kprobe::insert(probe); !inserted)
        return fail("a probe was refused", 0, static_cast<uintptr_t>(inserted.error()));
    raise_nmi_here();
    settle();
}

/// By a probe in a module, whose calls the stack has to show too.
void crash_bad_access() {
    static uint8_t* mapping;
    static constinit kernel_module module{};
    set_scene([](trap_frame&) {
        mapping[0] = 1;
        trace_mark(kernel, strays, "address %p", mapping + page_size);
    });
    set_up_patching();
    const boot_module object = find_boot_module("strays");
    const auto made = nmisafe::vmalloc::vmalloc(vmalloc_area, page_size,
                                                nmisafe::vmalloc::permission::read_write);
    const auto loaded = load_module(module, object.bytes, object.size);
    const auto started = loaded ? start_module(module) : loaded;
    if (!started)
        return fail("a module that strays is started", 0, static_cast<uintptr_t>(started.error()));
    if (!made)
        return fail("vmalloc()", 0, static_cast<uintptr_t>(made.error()));
    mapping = static_cast<uint8_t*>(*made);
    raise_nmi_here();
    settle();
}

} // namespace kernel
