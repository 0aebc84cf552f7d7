// SPDX-License-Identifier: MIT
// A module goes while something of it cannot be taken back, or nobody has taken it back:
//
//   on-marker  a kprobe stands on the site of the kernel's marker with which the module's probe is
//              registered, so that it cannot be turned off: it is left without probes
//   forgotten  the module leaves its marker probe and its kprobe where they are, when its init fails
//              and when it is unloaded: they are taken off, and if a thread may be in the kprobe's
//              slot the module stays in memory until that is released
//
// After each an NMI executes what the probes stood on. As a control, without=close takes no kprobe
// off: then the NMI's breakpoint finds it where a module was.
#include "kernel/experiments/modules/module_outlived.hpp"

#include "kernel/experiments/modules/module_remains.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/modules/loaded/forgets.hpp"
#include "kernel/modules/loaded/nmi_probe.hpp"
#include "kernel/modules/modules.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/instruction.hpp"
#include "nmisafe/x86/vectors.h"

namespace kernel {
namespace {

using namespace nmisafe;
using module_loader::load_error;
using module_loader::module_state;

constinit kernel_module module{};
constinit kprobe::probe on_site{};

void expect(const char* what, uintptr_t wanted, uintptr_t found) {
    if (wanted != found)
        fail(what, wanted, found);
}

/// Loads and starts an object of the boot image. Its error, or none.
load_error start(text name) {
    const boot_module object = find_boot_module(name);
    if (const auto loaded = load_module(module, object.bytes, object.size); !loaded)
        return loaded.error();
    const auto started = start_module(module);
    return started ? load_error{} : started.error();
}
load_error unload() {
    const auto gone = unload_module(module);
    return gone ? load_error{} : gone.error();
}
void expect_error(const char* what, load_error wanted, load_error found) {
    expect(what, static_cast<uintptr_t>(wanted), static_cast<uintptr_t>(found));
}

void raise_one() {
    raise_nmi_here();
    settle();
    ++scene.count.boundaries;
}

// --- on-marker ----------------------------------------------------------------------------------

/// One site of the marker for all contexts: module_in_nmi.cpp has another.
[[gnu::noinline]] void hit_marker() {
    trace_mark(kernel, nmi_calls_module, MARK_NOARGS);
}

const marker::marker* find_marker(const char* name) {
    const auto same = [](const char* a, const char* b) {
        while (*a == *b && *a != 0) {
            ++a;
            ++b;
        }
        return *a == *b;
    };
    for (const marker::marker& one : marker::all_markers{})
        if (same(one.name(), name))
            return &one;
    return nullptr;
}

/// The first instruction of 5 bytes that is a jump or a NOP.
uintptr_t find_site(uintptr_t at) {
    for (;;) {
        const auto* const bytes = reinterpret_cast<const uint8_t*>(at);
        const auto what = x86::decode(bytes, x86::maximum_instruction_length, x86::this_width);
        if (!what || (what->length == 5 && (bytes[0] == 0xe9 || bytes[0] == 0x0f)))
            return at;
        at += what->length;
    }
}

/// With the kprobe put on before the module's probe is unregistered: its site is on by then.
void unload_under_kprobe(const marker::marker& kernels) {
    expect_error("a module starts", load_error{}, start("nmi_probe"));
    on_site = {};
    on_site.address = on_site.function = find_site(reinterpret_cast<uintptr_t>(&hit_marker));
    if (!kprobe::insert(on_site))
        fail("a kprobe on a marker's site", 1, 0);
    const uint32_t calls = nmi_probe_count.calls;
    raise_one();
    expect("calls of the module's probe", calls + 1, nmi_probe_count.calls);
    expect("hits of the kprobe", 1, on_site.hits);
    expect_error("its module is unloaded", load_error{}, unload());
    expect("probes of the marker", 0, kernels.arm_count());
    raise_one();
    expect("calls of the module's probe, which is gone", calls + 1, nmi_probe_count.calls);
    expect("hits of the kprobe on the site", 2, on_site.hits);
}

void on_marker() {
    set_scene([](x86::trap_frame&) { hit_marker(); });
    set_up_patching();
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    const module_remains before = look_for_remains();
    const marker::marker* const kernels = find_marker("nmi_calls_module");
    if (kernels == nullptr)
        return fail("a marker of the kernel", 1, 0);
    nmi_probe_count = {};
    unload_under_kprobe(*kernels);
    if (!kprobe::remove(on_site) || !kprobe::release(on_site))
        fail("the kprobe is taken off", 1, 0);
    if (!marker::turn_off_idle() || kernels->is_on())
        fail("the marker is turned off then", 0, 1);
    raise_one();
    expect("hits of the kprobe, which is gone", 2, on_site.hits);
    expect("what the module found wrong", 0, nmi_probe_count.wrong);
    expect_nothing_left(before);
    print_row("on-marker");
}

// --- forgotten ----------------------------------------------------------------------------------

extern "C" const char kernel_forgotten_copied[], kernel_forgotten_emulated[];
extern "C" void kernel_execute_forgotten();
asm(R"(
    .pushsection .text
    .globl  kernel_execute_forgotten, kernel_forgotten_copied, kernel_forgotten_emulated
kernel_execute_forgotten:
kernel_forgotten_copied:
    movl    $1, %eax
kernel_forgotten_emulated:
    nop
    ret
    .popsection
)");

[[gnu::noinline]] void execute_forgotten() {
    trace_mark(kernel, outlives, MARK_NOARGS);
    kernel_execute_forgotten();
}

/// @return calls of what the module has left.
uint32_t calls_of_one_nmi() {
    const uint32_t before = forgotten.calls;
    raise_one();
    return forgotten.calls - before;
}

void start_forgetful(bool needs_slot, bool goes_on) {
    forgotten = {};
    forgotten.instruction = reinterpret_cast<uintptr_t>(needs_slot ? kernel_forgotten_copied
                                                                   : kernel_forgotten_emulated);
    forgotten.slot = needs_slot ? reinterpret_cast<uintptr_t>(probe_slots) : 0;
    forgotten.goes_on = goes_on;
    expect_error("a module that forgets", goes_on ? load_error{} : load_error::init_failed,
                 start("forgets"));
    expect("probes that were refused to it", 0, forgotten.refused);
    if (goes_on)
        expect("calls of its probes", 2, calls_of_one_nmi());
}

/// A thread may be in the slot, though here none is: the kernel only knows when it is told.
void expect_kept() {
    expect("the state of a module whose kprobe has not been released",
           static_cast<uintptr_t>(module_state::stopped),
           static_cast<uintptr_t>(module.loaded.state()));
    expect_error("it is unloaded", load_error::in_use, unload());
    expect("calls of its probes, which have been taken off", 0, calls_of_one_nmi());
    if (!kprobe::release(*forgotten.kprobe))
        fail("its kprobe could be released", 1, 0);
    expect_error("it is unloaded then", load_error{}, unload());
}

void set_up_forgotten() {
    set_scene([](x86::trap_frame&) { execute_forgotten(); });
    set_up_patching();
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
}

void forgotten_by_modules() {
    set_up_forgotten();
    const module_remains before = look_for_remains();
    for (const bool needs_slot : {false, true})
        for (const bool goes_on : {false, true}) {
            start_forgetful(needs_slot, goes_on);
            if (goes_on)
                expect_error("a forgetful module is unloaded",
                             needs_slot ? load_error::in_use : load_error{}, unload());
            expect("calls of what a module has left", 0, calls_of_one_nmi());
            if (needs_slot)
                expect_kept();
            expect("the state of a module that is gone",
                   static_cast<uintptr_t>(module_state::empty),
                   static_cast<uintptr_t>(module.loaded.state()));
            expect_nothing_left(before);
        }
    print_row("forgotten");
}

} // namespace

void try_to_outlive_modules() {
    on_marker();
    forgotten_by_modules();
}

void meet_what_is_left() {
    set_up_forgotten();
    trap::set_page_fault_handler([](x86::trap_frame& frame, uintptr_t address) {
        end_at_use_of_remains(frame, address, "forgotten");
        return resolve_lazy_fault(frame, address);
    });
    start_forgetful(false, false);
    raise_one();
    print_row("forgotten");
}

} // namespace kernel
