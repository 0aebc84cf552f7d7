// SPDX-License-Identifier: MIT
// costs: how many instructions the library takes on its paths, with handlers that do nothing. The
// tool counts them in QEMU's log between the addresses printed here. Each path is walked once.
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/patch_windows.h"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/smp/code.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/trap/breakpoint_dispatch.hpp"
#include "nmisafe/trap/entry_calls.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" {
extern const char nmisafe_trap_nmi_exit[];
}

namespace kernel {
namespace {

using namespace nmisafe;

template <typename Function>
const char* address_of(Function* function) {
    return reinterpret_cast<const char*>(function);
}

void measure_window(const char* name, const code_window& window) {
    print_measure(name, window.begin, window.end);
    window.run();
}

// --- NMIs and traps ------------------------------------------------------------------------------

void measure_nmi() {
    const auto* const entry = reinterpret_cast<const char*>(trap::entry_address(X86_VECTOR_NMI));
    // As Linux's figures are counted: up to the library's C++ function and back from it.
    print_measure("nmi-entry", entry, address_of(trap::nmisafe_trap_nmi));
    print_measure("nmi-exit", nmisafe_trap_nmi_exit, window_nmi_nothing_end);
    // All of it: up to the embedding kernel's handler and from its return instruction on.
    print_measure("nmi-entry-to-handler", entry, address_of(empty_nmi_handler));
    print_measure("nmi-exit-from-handler", address_of(empty_nmi_handler), window_nmi_nothing_end);
    trap::set_nmi_handler(empty_nmi_handler);
    raise_nmi_in_window(window_nmi_nothing);
    scene.count.handled = 1; // the empty handler counts nothing
}

void measure_breakpoint() {
    // The return alone, from the end of the C++ dispatch.
    print_measure("breakpoint-return", nmisafe_trap_return, window_breakpoint_end);
    trap::set_breakpoint_dispatch(trap::nmisafe_trap_dispatch);
    trap::set_handler(X86_VECTOR_BP, empty_breakpoint_handler);
    // The INT3 itself, both ways, and the handler's two instructions.
    measure_window("breakpoint-roundtrip",
                   {window_breakpoint, window_breakpoint_begin, window_breakpoint_end});
}

// --- what stands on them -------------------------------------------------------------------------

/// What is executed in the middle of apply(), and has been.
struct {
    const char* last_site; ///< Where INT3 comes last.
    const char* name;
    code_window window;
    uint32_t items;
    bool done;
} while_patched;

/// Called at each step of the patcher: runs the window at the first where INT3 is everywhere.
void hit_patched_sites() {
    const auto* const site = reinterpret_cast<const volatile uint8_t*>(while_patched.last_site);
    if (*site != text_patch::breakpoint || while_patched.done)
        return;
    while_patched.done = true;
    const code_window& window = while_patched.window;
    print_measure(while_patched.name, window.begin, window.end, while_patched.items);
    window.run();
}

text_patch::patch batch[PATCH_COST_BATCH];

/// Hits each site of a batch once, while it is patched. The sites are one behind the other.
void measure_patched_breakpoints(const char* name, x86::assembly_function* run, uint32_t count) {
    const auto* const sites = address_of(run);
    for (uint32_t i = 0; i < count; ++i) {
        batch[i] = {};
        batch[i].address = reinterpret_cast<uintptr_t>(sites) + i * PATCH_COST_SITE_SIZE;
        batch[i].size = PATCH_COST_SITE_SIZE;
        batch[i].before[0] = batch[i].after[0] = 0xb8; // mov to EAX
        batch[i].after[1] = 1;
    }
    const uint32_t size = count * PATCH_COST_SITE_SIZE;
    while_patched = {.last_site = sites + size - PATCH_COST_SITE_SIZE,
                     .name = name,
                     .window = {run, sites, sites + size},
                     .items = count,
                     .done = false};
    patching_hook = hit_patched_sites;
    const bool applied = text_patch::apply(batch, count).has_value();
    patching_hook = nullptr;
    if (!applied || !while_patched.done)
        fail("INT3 hit on each site being patched", 1, 0);
}

kprobe::probe probe;

void empty_probe_handler(kprobe::probe&, x86::trap_frame&) {}

/// With a handler before the instruction and one after.
void measure_probe(const char* name, const code_window& window) {
    probe = {};
    probe.address = probe.function = reinterpret_cast<uintptr_t>(window.begin);
    probe.slot = reinterpret_cast<uintptr_t>(probe_slots);
    probe.pre = probe.post = empty_probe_handler;
    if (!kprobe::insert(probe))
        fail("the probe was inserted", 1, 0);
    measure_window(name, window);
    if (probe.completed != 1)
        fail("the probe was hit", 1, probe.completed);
    if (!kprobe::remove(probe) || !kprobe::release(probe))
        fail("the probe was removed", 1, 0);
}

void empty_mark_probe(const marker::marker&, void*, const marker::arguments&) {}

constinit marker::probe first_mark_probe(empty_mark_probe, nullptr);
constinit marker::probe second_mark_probe(empty_mark_probe, nullptr);

void turn_on(marker::probe& added) {
    if (!marker::register_probe("kernel", "cost", nullptr, added))
        fail("the marker's probe was registered", 1, 0);
}

/// As Linux's tracepoints are counted: in a function that is nothing but the marker, from the site
/// to behind the function's RET. With an argument that is known.
void measure_marker() {
    print_measure("marker-dormant", address_of(marker_dormant_action), window_marker_dormant_end);
    window_marker_dormant();
    turn_on(first_mark_probe);
    print_measure("marker-hit", address_of(marker_hit_action), window_marker_hit_end);
    // Not seen if the probe is not called.
    print_measure("marker-to-probe", address_of(marker_hit_action), address_of(empty_mark_probe));
    window_marker_hit();
    turn_on(second_mark_probe);
    print_measure("marker-hit-two", address_of(marker_two_action), window_marker_two_end);
    window_marker_two();
}

bool on_page_fault(x86::trap_frame& frame, uintptr_t address) {
    return handle_lazy_fault(frame, address) == vmalloc::fault::resolved;
}

/// From the entry to the instruction behind the one that faulted, which is executed again, in an
/// address space that lacks the entry. @return the bytes that an address space takes.
uintptr_t measure_vmalloc_fault() {
    const auto made = vmalloc::vmalloc(vmalloc_area, 1, vmalloc::permission::read_write);
    const uintptr_t before = pages_in_use();
    address_space* const space = create_address_space();
    const uintptr_t pages = pages_in_use() - before;
    print_measure("vmalloc-fault",
                  reinterpret_cast<const char*>(trap::entry_address(X86_VECTOR_PF)),
                  window_page_fault_end);
    trap::set_page_fault_handler(on_page_fault);
    switch_to(*space);
    window_page_fault(made.value_or(nullptr));
    switch_to(kernel_space());
    return pages * page_size;
}

} // namespace

// One for each measure, so that each is walked once.
extern "C" [[NMISAFE_ASSEMBLY_CALL]] void marker_dormant_action() {
    trace_mark(kernel, cost, "value %d", 1);
}
extern "C" [[NMISAFE_ASSEMBLY_CALL]] void marker_hit_action() {
    trace_mark(kernel, cost, "value %d", 1);
}
extern "C" [[NMISAFE_ASSEMBLY_CALL]] void marker_two_action() {
    trace_mark(kernel, cost, "value %d", 1);
}

void costs() {
    x86::disable_interrupts();
    set_scene(nullptr);
    set_up_patching();
    measure_nmi();
    measure_breakpoint();
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    trap::set_breakpoint_dispatch(dispatch_patched_breakpoint);
    measure_patched_breakpoints("patched-breakpoint-roundtrip", window_patched_mov, 1);
    measure_patched_breakpoints("patched-breakpoint-1000", patch_cost_sites, PATCH_COST_BATCH);
    measure_probe("kprobe-emulated",
                  {window_probed_nop, window_probed_nop_begin, window_probed_nop_end});
    measure_probe("kprobe-copied",
                  {window_probed_add, window_probed_add_begin, window_probed_add_end});
    measure_marker();
    print_row(nullptr, false, {"address_space_bytes", measure_vmalloc_fault()});
}

} // namespace kernel
