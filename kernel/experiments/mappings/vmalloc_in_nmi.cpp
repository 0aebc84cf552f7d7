// SPDX-License-Identifier: MIT
// vmalloc-in-nmi: the RFC's test. A probe on a marker without immediate value, in the NMI handler,
// touches every page of a vmalloc'd buffer of 20 MB, in address spaces that have none of the
// buffer's mappings, while a second CPU keeps sending NMIs and each handler is held by another NMI
// pending. In each address space there must be exactly as many page faults as it lacks entries.
//
//   buffer        across two of the largest entries of the shared level there are
//   small-entries the same with 12 MB where 2 MiB (x86-32 without PAE: 4 MiB) share an entry
//   synchronised  after vmalloc_sync_mappings(): no fault
//
// Under the policy iret a fault's return lets the next NMI in. The options megabytes= and spaces=
// make the buffer and the number of address spaces smaller, for slow emulators.
#include "kernel/console/command_line.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/active_delay.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint32_t most_spaces = 8;
constexpr uint32_t most_megabytes = 20;
constexpr size_t megabyte = 1 << 20;

struct buffer {
    vmalloc::area where;
    size_t size;
    uintptr_t entry_size; // what an entry of the shared level covers
};

#ifdef __x86_64__
constexpr uintptr_t large_entry = uintptr_t{1} << 39;
constexpr uintptr_t small_entry = 2 * megabyte;
#else
constexpr uintptr_t small_entry = paging == x86::paging_mode::pae ? 2 * megabyte : 4 * megabyte;
constexpr uintptr_t large_entry = small_entry;
#endif

uint32_t spaces;

/// Its middle is where two entries of the shared level meet.
buffer large_buffer(uint32_t megabytes) {
    const size_t size = megabytes * megabyte;
    // Not in the first one if an entry covers less than half of the buffer.
    const uintptr_t middle =
        KERNEL_VMALLOC_BASE + (size / 2 + large_entry - 1) / large_entry * large_entry;
    const uintptr_t begin = middle - size / 2;
    return {{begin, begin + size + 4 * megabyte, vmalloc_area.shared_level()}, size, large_entry};
}

buffer small_buffer(uint32_t megabytes) {
    constexpr uint32_t most = 12; // of the module area
    return {module_data_area, (megabytes < most ? megabytes : most) * megabyte, small_entry};
}

uintptr_t first_page;
size_t page_count;
shared_count wrong_pages;
shared_count faults_in_nmi;
shared_count probe_calls;

/// Every page begins with its number.
volatile uint32_t& word_of(size_t page) {
    return *reinterpret_cast<volatile uint32_t*>(first_page + page * page_size);
}

void touch_all_pages(const marker::marker&, void*, const marker::arguments&) {
    ++probe_calls;
    for (size_t page = 0; page < page_count; ++page) {
        if (word_of(page) != page)
            ++wrong_pages;
        word_of(page) = static_cast<uint32_t>(page);
    }
}

constinit marker::probe toucher(touch_all_pages, nullptr);

void body(trap_frame&) {
    raise_second();
    _trace_mark(kernel, nmi_touches_buffer, MARK_NOARGS);
}

bool on_page_fault(trap_frame& frame, uintptr_t address) {
    ++scene.page_faults;
    if (context::in_nmi())
        ++faults_in_nmi;
    show_resume_flag(frame);
    return resolve_lazy_fault(frame, address);
}

/// Entries of the shared level that the buffer lies in.
uint32_t entries_of(const buffer& which) {
    const uintptr_t last = first_page + page_count * page_size - 1;
    return static_cast<uint32_t>(last / which.entry_size - first_page / which.entry_size + 1);
}

nmis_of_delay seen;

void in_new_space(void*) {
    const nmis_of_delay more = delay_under_nmis();
    seen.passes += more.passes;
    seen.sent += more.sent;
}

/// Runs in as many address spaces. Each must take `faults` page faults, all of them in NMIs.
void run_in_spaces(address_space* const* which, uint32_t faults) {
    for (uint32_t i = 0; i < spaces; ++i) {
        const uint32_t before = scene.page_faults;
        join(create_thread(0, in_new_space, nullptr, which[i]));
        if (scene.count.nested == 0 && scene.page_faults - before != faults)
            fail("page faults in an address space", faults, scene.page_faults - before);
    }
}

void fill(const buffer& which) {
    const auto made = vmalloc::vmalloc(which.where, which.size, vmalloc::permission::read_write);
    if (!made) {
        fail("the buffer", 0, static_cast<uintptr_t>(made.error()));
        return;
    }
    first_page = reinterpret_cast<uintptr_t>(*made);
    page_count = which.size / page_size;
    for (size_t page = 0; page < page_count; ++page)
        word_of(page) = static_cast<uint32_t>(page);
}

void run(const char* path, const buffer& which, bool synchronised) {
    address_space* made[most_spaces];
    for (uint32_t i = 0; i < spaces; ++i)
        made[i] = create_address_space(); // before the buffer: they know nothing of it
    set_scene(body);
    trap::set_page_fault_handler(on_page_fault);
    wrong_pages = faults_in_nmi = probe_calls = 0;
    seen = {};
    fill(which);
    const uint32_t entries = entries_of(which);
    if (synchronised) {
        const size_t copied = vmalloc::vmalloc_sync_mappings(which.where).value_or(0);
        if (copied != entries * spaces)
            fail("entries copied to address spaces", entries * spaces, copied);
    }
    if (!marker::register_probe("kernel", "nmi_touches_buffer", nullptr, toucher))
        fail("the probe could be registered", 1, 0);
    run_in_spaces(made, synchronised ? 0 : entries);
    if (!marker::unregister_probe(toucher) || !marker::synchronise())
        fail("the probe could be unregistered", 1, 0);

    if (wrong_pages != 0)
        fail("pages with the wrong content", 0, wrong_pages);
    if (probe_calls != scene.count.handled)
        fail("calls of the probe", scene.count.handled, probe_calls);
    if (faults_in_nmi != scene.page_faults)
        fail("page faults in NMI handlers", scene.page_faults, faults_in_nmi);
    scene.count.raised += scene.sender_tickets;
    scene.count.boundaries = seen.passes;
    print_row(path, false, {"page_faults", scene.page_faults});
    if (!vmalloc::vfree(which.where, reinterpret_cast<void*>(first_page)))
        fail("the buffer could be freed", 1, 0);
    for (uint32_t i = 0; i < spaces; ++i)
        destroy_address_space(made[i]);
}

} // namespace

void vmalloc_in_nmi() {
    const uint32_t megabytes = option_number("megabytes", most_megabytes);
    spaces = option_number("spaces", most_spaces);
    if (megabytes < 2 || megabytes > most_megabytes || megabytes % 2 != 0)
        panic("megabytes= takes an even number from 2 to 20", nullptr, megabytes);
    if (spaces == 0 || spaces > most_spaces)
        panic("spaces= takes a number from 1 to 8", nullptr, spaces);
    run("buffer", large_buffer(megabytes), false);
    if (scene.count.nested != 0)
        return; // a control: what was run over is not to be trusted any more
    run("small-entries", small_buffer(megabytes), false);
    run("synchronised", large_buffer(megabytes), true);
}

} // namespace kernel
