// SPDX-License-Identifier: MIT
// vmalloc-top-entry, with PAE only: an area in a top-level entry that the kernel's table has not
// had when CPUs loaded it. A CPU reads those entries when CR3 is loaded, and only then.
// [intel/vol3 4.4.1]
//
//   refused   set_up() makes no such entry, and nothing is mapped in the area
//   reloaded  the entry is made, and every CPU loads CR3 again: what is mapped then is accessed by
//             two CPUs, in threads and in NMI handlers, without one fault
//
// As a control, without=reload leaves CR3 alone: the access faults without end, in an NMI handler
// too. QEMU reads the entries from memory each time and shows nothing of that; Bochs does as CPUs
// do.
#include "kernel/common/controls.hpp"
#include "kernel/cpu/try_read.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/smp/tlb.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using vmalloc::vmalloc_error;
using x86::trap_frame;

// Below the kernel's half, where the kernel's own address space has nothing.
constexpr uintptr_t area_begin = 0x80000000;
constexpr vmalloc::area lone_area(area_begin, area_begin + 0x400000, 2);

/// The entry of the kernel's top-level table: its low word.
uintptr_t& top_entry() {
    auto* const table = static_cast<uintptr_t*>(physical_to_virtual(kernel_space().top_table));
    return table[(area_begin >> 30) * 2];
}

constexpr uint32_t without_end = 100; // so many faults on one word

constexpr uint32_t content = 0x600df00d;
uint32_t* word;
shared_count faults;
shared_count accesses;

bool on_page_fault(trap_frame& frame, uintptr_t address) {
    show_resume_flag(frame);
    const bool resolved =
        vmalloc::handle_fault(lone_area, frame, address) == vmalloc::fault::resolved;
    if (resolved && ++faults % without_end != 0)
        return true;
    return give_up_access(frame);
}

void access_word() {
    uint32_t value = 0;
    if (!try_read(word, value))
        fail("an access faults without end", 0, faults);
    else if (value != content)
        fail("what was read", content, value);
    ++accesses;
}

void body(trap_frame&) {
    access_word();
}

void on_other_nmi(trap_frame& frame) {
    ++scene.count.handled;
    body(frame);
}

void expect_error(const char* what, vmalloc_error wanted, vmalloc_error found) {
    if (found != wanted)
        fail(what, static_cast<uintptr_t>(wanted), static_cast<uintptr_t>(found));
    ++scene.count.boundaries;
}

template <typename Result>
vmalloc_error error_of(const Result& result) {
    return result ? vmalloc_error{} : result.error();
}

void refused() {
    set_scene(nullptr);
    raise_nmi_here();
    settle();
    expect_error("set_up() without the entry", vmalloc_error::no_top_entry,
                 error_of(vmalloc::set_up(lone_area)));
    expect_error("vmalloc() without set_up()", vmalloc_error::not_set_up,
                 error_of(vmalloc::vmalloc(lone_area, 1, vmalloc::permission::read_write)));
    if (top_entry() != 0)
        fail("a top-level entry under a live CR3", 0, top_entry());
    print_row("refused");
}

/// With a page directory behind it. A flush of so many pages loads CR3 on every CPU.
void make_top_entry() {
    top_entry() = allocate_page() | x86::page_entry::present;
    if (!is_removed(defence::reload))
        flush_tlb(lone_area.begin(), lone_area.end());
}

void reloaded() {
    set_scene(body);
    trap::set_page_fault_handler(on_page_fault);
    make_top_entry();
    expect_error("set_up() with the entry", vmalloc_error{}, error_of(vmalloc::set_up(lone_area)));
    const auto made = vmalloc::vmalloc(lone_area, page_size, vmalloc::permission::read_write);
    if (!made)
        return fail("vmalloc()", 0, static_cast<uintptr_t>(made.error()));
    word = static_cast<uint32_t*>(*made);
    // Not through the mapping, which this CPU may not have.
    const uint64_t page = vmalloc::physical_address(lone_area, reinterpret_cast<uintptr_t>(word));
    *static_cast<uint32_t*>(physical_to_virtual(static_cast<uintptr_t>(page))) = content;

    access_word();
    run_on(
        1, [](void*) { access_word(); }, nullptr);
    wait(1);
    raise_nmi_here();
    settle();
    trap::set_nmi_handler(on_other_nmi);
    ++scene.count.raised;
    send_nmi(1);
    if (!wait_for([] { return accesses == 4; }))
        ++scene.count.lost;
    if (faults != 0)
        fail("page faults", 0, faults);
    scene.count.boundaries += accesses;
    if (!is_removed(defence::reload) && !vmalloc::vfree(lone_area, word))
        fail("vfree()", 1, 0);
    gather_unsafe_irets();
    print_row("reloaded", false, {"page_faults", faults});
}

} // namespace

void vmalloc_top_entry() {
    if (paging != x86::paging_mode::pae)
        return fail("this kernel pages with PAE", 1, 0);
    if (!is_removed(defence::reload))
        refused();
    reloaded();
}

} // namespace kernel
