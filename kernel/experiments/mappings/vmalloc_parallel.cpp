// SPDX-License-Identifier: MIT
// vmalloc-parallel: all CPUs make, use and tear down mappings in one area at the same time, and no
// two of them ever get the same addresses. Each in an address space of its own; each keeps sending
// NMIs to the next one, whose handler reads the latest mapping of every CPU.
//
//   together  in rounds: all vmalloc() at once, all look at what all wrote, all vfree() at once
//   apart     each in its own time, with several mappings of one to four pages at once
//
// As a control, without=lock leaves the mapping lock out. There each vmalloc() waits, between its
// search for a gap and its first entry, until all CPUs have come so far: so all have found the same
// one. It ends after the first round, since what else is run over is not to be trusted.
#include "kernel/common/controls.hpp"
#include "kernel/cpu/try_read.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/vmalloc_observers.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/trap.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint32_t rounds = 24;
constexpr uint32_t steps = 100; // of each CPU, apart
constexpr unsigned most_pages = 4;
constexpr unsigned most_live = 4; // mappings of one CPU
constexpr size_t words = page_size / sizeof(uint32_t);

struct mapped {
    uint32_t* address; // null: none
    uint32_t pages;
    uint32_t tag; // the content of the first page; each further page has one more
};

struct worker {
    mapped live[most_live];
    uint32_t made;
    uint32_t random;
    /// What NMI handlers look at. Taken back before vfree(): from then on that waits for them.
    shared_word<const mapped*> published;
    shared_count nmis_sent; // to this CPU
    shared_count nmis_handled;
    bool is_to_meet; // without=lock: in its next allocation
};

constinit worker workers[most_cpus] = {};

// --- meeting ------------------------------------------------------------------------------------

uint32_t arrivals;

/// Waits until all CPUs have called it as often as this one; not, once that has failed.
void meet() {
    if (scene.count.failures != 0 && is_defended())
        return;
    const uint32_t mine = __atomic_add_fetch(&arrivals, 1, __ATOMIC_ACQ_REL);
    const uint32_t all = (mine + cpu_count() - 1) / cpu_count() * cpu_count();
    if (!wait_for([=] { return __atomic_load_n(&arrivals, __ATOMIC_ACQUIRE) >= all; }))
        fail("CPUs that meet", all, arrivals);
}

#ifdef NMISAFE_TRAP_CONTROLS
void meet_in_allocation() {
    worker& self = workers[this_cpu().id];
    if (!self.is_to_meet)
        return;
    self.is_to_meet = false;
    meet();
}
#endif

// --- mappings -----------------------------------------------------------------------------------

void check_content(const mapped& one) {
    for (uint32_t page = 0; page < one.pages; ++page) {
        const uint32_t* const first = one.address + page * words;
        for (const uint32_t* word : {first, first + words - 1}) {
            uint32_t value = 0;
            if (!try_read(word, value))
                fail("a mapping that is in use could be read", 1, 0);
            else if (value != one.tag + page)
                fail("the content of a mapping", one.tag + page, value);
        }
    }
}

/// The pages before and behind are nobody's.
void check_gaps(const mapped& one) {
    uint32_t value = 0;
    for (const uint32_t* word : {one.address - 1, one.address + one.pages * words})
        if (try_read(word, value))
            fail("a page beside a mapping could be read", 0, reinterpret_cast<uintptr_t>(word));
}

void make(worker& self, mapped& one, uint32_t pages) {
    self.is_to_meet = is_removed(defence::lock);
    const auto made =
        vmalloc::vmalloc(vmalloc_area, pages * page_size, vmalloc::permission::read_write);
    if (!made)
        return fail("vmalloc()", 0, static_cast<uintptr_t>(made.error()));
    const auto id = static_cast<uint32_t>(&self - workers);
    one = {static_cast<uint32_t*>(*made), pages, id << 24 | ++self.made << 8};
    for (uint32_t page = 0; page < pages; ++page) {
        if (one.address[page * words] != 0)
            fail("a new mapping is zeroed", 0, one.address[page * words]);
        one.address[page * words] = one.address[page * words + words - 1] = one.tag + page;
    }
    self.published = &one;
}

void tear_down(worker& self, mapped& one) {
    if (self.published == &one)
        self.published = nullptr;
    const auto freed = vmalloc::vfree(vmalloc_area, one.address);
    if (freed.value_or(0) != one.pages * page_size)
        fail("vfree()", one.pages * page_size, freed.value_or(0));
    one.address = nullptr;
}

// --- NMIs ---------------------------------------------------------------------------------------

shared_count read_in_nmis; // mappings that handlers found

/// Until it ends no vfree() that began after it comes to an end: what is published is either still
/// there or refused.
void on_nmi(trap_frame&) {
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        const mapped* const one = workers[id].published;
        uint32_t value = 0;
        if (one == nullptr || !try_read(one->address, value))
            continue;
        ++read_in_nmis;
        if (value != one->tag)
            fail("the content of a mapping in an NMI handler", one->tag, value);
    }
    ++scene.count.handled;
    ++workers[this_cpu().id].nmis_handled;
}

bool has_handled_all(const worker& target) {
    return target.nmis_handled == target.nmis_sent;
}

/// At most one on its way, so that none is merged with another.
void send_to_next(worker& self) {
    const auto id = static_cast<uint32_t>(&self - workers + 1) % cpu_count();
    if (!is_defended() || !has_handled_all(workers[id]))
        return;
    ++workers[id].nmis_sent;
    ++scene.count.raised;
    send_nmi(id);
}

// --- the paths ----------------------------------------------------------------------------------

shared_flag go_on;

void work_together(worker& self) {
    mapped& one = self.live[0];
    for (uint32_t round = 0; round < rounds; ++round) {
        meet();
        make(self, one, round % most_pages + 1);
        meet();
        send_to_next(self);
        // Also those of the others: what this CPU wrote itself its TLB would show it in any case.
        for (uint32_t id = 0; id < cpu_count(); ++id)
            check_content(workers[id].live[0]);
        check_gaps(one);
        meet();
        if (this_cpu().id == 0)
            go_on = scene.count.failures == 0;
        meet();
        if (!go_on)
            return;
        tear_down(self, one);
    }
}

uint32_t next_random(worker& self) {
    self.random = self.random * 1103515245 + 12345;
    return self.random >> 16;
}

void work_apart(worker& self) {
    for (uint32_t step = 0; step < steps && scene.count.failures == 0; ++step) {
        mapped& one = self.live[next_random(self) % most_live];
        if (one.address == nullptr) {
            make(self, one, next_random(self) % most_pages + 1);
        } else {
            check_gaps(one);
            tear_down(self, one);
        }
        send_to_next(self);
        for (const mapped& each : self.live)
            if (each.address != nullptr)
                check_content(each);
    }
    for (mapped& one : self.live)
        if (one.address != nullptr && scene.count.failures == 0)
            tear_down(self, one);
}

void (*work)(worker&);
uintptr_t pages_before;

/// Pages are counted while no CPU has any.
void run(void*) {
    worker& self = workers[this_cpu().id];
    if (this_cpu().id == 0)
        pages_before = pages_in_use();
    meet();
    work(self);
    meet();
    if (this_cpu().id == 0 && scene.count.failures == 0 && pages_in_use() != pages_before)
        fail("pages in use afterwards", pages_before, pages_in_use());
}

/// The tables are made beforehand, for they stay.
void make_tables() {
    const auto made = vmalloc::vmalloc(vmalloc_area, page_size, vmalloc::permission::read_write);
    if (!made || !vmalloc::vfree(vmalloc_area, *made))
        fail("vmalloc() and vfree() before", 1, 0);
}

void run_path(const char* path, void (*what)(worker&)) {
    set_scene(nullptr);
    trap::set_nmi_handler(on_nmi);
    trap::set_page_fault_handler(on_observed_fault);
    work = what;
    read_in_nmis = 0;
    thread* threads[most_cpus] = {};
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        workers[id] = {};
        workers[id].random = id;
        cpu_at(id).nmisafe.iret_returns_in_nmi = 0;
        threads[id] = create_thread(id, run, nullptr, create_address_space());
    }
    for (uint32_t id = 0; id < cpu_count(); ++id)
        join(threads[id]);
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        if (!wait_for([id] { return has_handled_all(workers[id]); }))
            ++scene.count.lost;
        scene.count.boundaries += workers[id].made;
    }
    gather_unsafe_irets();
    if (is_defended() && read_in_nmis == 0)
        fail("mappings read in NMI handlers", 1, 0);
    print_row(path, false, {"read_in_nmis", read_in_nmis});
}

} // namespace

void vmalloc_parallel() {
    make_tables();
#ifdef NMISAFE_TRAP_CONTROLS
    if (is_removed(defence::lock))
        allocation_hook = meet_in_allocation;
#endif
    run_path("together", work_together);
    if (is_defended())
        run_path("apart", work_apart);
}

} // namespace kernel
