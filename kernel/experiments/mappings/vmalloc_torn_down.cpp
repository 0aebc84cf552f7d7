// SPDX-License-Identifier: MIT
// vmalloc-torn-down: what is left of a mapping once vfree(), vunmap() or set_permission() has
// returned. Every CPU, each in an address space of its own, keeps reading the mapping in a thread
// and in NMI handlers, so that it is in every TLB.
//
//   freed        no CPU reads it any more, neither in a thread nor in an NMI; its address comes
//                back with another page, and every CPU sees that one
//   unmapped     the same with vmap() and vunmap()
//   read-only    no CPU can write it any more, and all can read it
//   waits        vfree() does not return while an NMI handler that uses the mapping is in progress,
//                which until then reads the page's old content, if anything
//
// As a control, without=shootdown flushes but the TLB of the CPU that tears down.
#include "kernel/common/controls.hpp"
#include "kernel/cpu/try_read.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using vmalloc::permission;
using x86::trap_frame;

constexpr uint32_t rounds = 20;

/// What CPUs are asked to do with the word, in a thread and in an NMI, and what came of it.
enum class access : uint32_t { none, read, write };

struct outcome {
    shared_count asked; // the question's number
    shared_count answered;
    shared_flag worked;
    shared_word<uint32_t> value;
};

struct reader {
    outcome in_thread;
    outcome in_nmi;
};

constinit reader readers[most_cpus] = {};
shared_word<uint32_t*> word;
shared_word<access> wanted;
shared_flag stop;
shared_flag linger;      // CPU 1's NMI handler is to stay
shared_flag lingering;   // it does
shared_flag torn_down;   // vfree() has been called, or will be at once
shared_flag came_back;   // vfree() has
shared_flag has_left;    // the NMI handler
shared_count bad_faults; // accesses that were refused

void answer(outcome& mine) {
    const uint32_t question = mine.asked;
    if (mine.answered == question)
        return;
    uint32_t value = 0;
    mine.worked = wanted == access::write ? try_write(word, 7) : try_read(word, value);
    mine.value = value;
    mine.answered = question;
}

/// In the control the handler stays until vfree() has come back without it: that is the harm.
bool may_leave() {
    return !is_removed(defence::shootdown) || came_back;
}

/// For some time beyond that.
void use_until_torn_down() {
    constexpr uint32_t linger_microseconds = 2000;
    linger = false;
    uint32_t before = 0;
    if (!try_read(word, before))
        fail("the mapping could be read", 1, 0);
    lingering = true;
    if (!wait_for([] { return bool{torn_down}; }))
        ++scene.count.lost;
    const uint32_t start = ticks();
    while (ticks() - start < ticks_in(linger_microseconds) || !may_leave()) {
        uint32_t value = 0;
        if (try_read(word, value) && value != before)
            fail("a page was given away under an NMI handler", before, value);
    }
    has_left = true;
}

void on_nmi(trap_frame&) {
    ++scene.count.handled;
    if (linger && this_cpu().id == 1)
        use_until_torn_down();
    answer(readers[this_cpu().id].in_nmi);
}

bool on_page_fault(trap_frame& frame, uintptr_t address) {
    show_resume_flag(frame);
    if (handle_lazy_fault(frame, address) == vmalloc::fault::resolved)
        return true;
    ++bad_faults;
    return give_up_access(frame);
}

void read_on(void*) {
    while (!stop) {
        answer(readers[this_cpu().id].in_thread);
        wait_a_little();
    }
}

void check(const outcome& found, bool works, uint32_t value) {
    if (found.worked != works)
        fail(works ? "an access was refused" : "an access worked: a stale translation", works,
             found.worked);
    else if (works && wanted == access::read && found.value != value)
        fail("another page's content: a stale translation", value, found.value);
}

/// All CPUs but this one try it, in their threads and in NMIs at the same time.
void all_try(access what, bool works, uint32_t value) {
    wanted = what;
    for (uint32_t id = 1; id < cpu_count(); ++id) {
        ++readers[id].in_thread.asked;
        ++readers[id].in_nmi.asked;
        ++scene.count.raised;
        send_nmi(id);
    }
    for (uint32_t id = 1; id < cpu_count(); ++id)
        for (const outcome* one : {&readers[id].in_thread, &readers[id].in_nmi}) {
            if (!wait_for([=] { return one->answered == one->asked; }))
                ++scene.count.lost;
            check(*one, works, value);
        }
    ++scene.count.boundaries;
}

uint32_t* allocate(uint32_t content) {
    const auto made = vmalloc::vmalloc(vmalloc_area, page_size, permission::read_write);
    if (!made) {
        fail("vmalloc()", 0, static_cast<uintptr_t>(made.error()));
        return nullptr;
    }
    auto* const address = static_cast<uint32_t*>(*made);
    *address = content;
    word = address;
    return address;
}

void expect(bool holds, const char* what) {
    if (!holds)
        fail(what, 1, 0);
}

void begin() {
    const uint32_t unsafe = this_cpu().nmisafe.iret_returns_in_nmi;
    set_scene(nullptr);
    this_cpu().nmisafe.iret_returns_in_nmi = unsafe;
    trap::set_nmi_handler(on_nmi);
    trap::set_page_fault_handler(on_page_fault);
    bad_faults = 0;
}

void end(const char* path) {
    gather_unsafe_irets();
    print_row(path, false, {"refused", bad_faults});
}

void freed() {
    begin();
    uintptr_t kept = 0;
    for (uint32_t round = 0; round < rounds; ++round) {
        uint32_t* const mapped = allocate(round);
        all_try(access::read, true, round);
        const uint64_t page = lazy_physical_address(reinterpret_cast<uintptr_t>(mapped));
        expect(vmalloc::vfree(vmalloc_area, mapped).has_value(), "vfree()");
        all_try(access::read, false, 0);
        // The next one gets another page.
        const uintptr_t latest = allocate_page();
        expect(latest == page, "the page was given back");
        if (kept != 0)
            free_page(kept);
        kept = latest;
    }
    free_page(kept);
    end("freed");
}

void unmapped() {
    begin();
    const uint64_t pages[2] = {allocate_page(), allocate_page()};
    for (uint32_t round = 0; round < rounds; ++round) {
        const uint64_t page = pages[round % 2];
        *static_cast<uint32_t*>(physical_to_virtual(static_cast<uintptr_t>(page))) = round;
        const auto mapped = vmalloc::vmap(vmalloc_area, &page, 1, permission::read_only);
        expect(mapped.has_value(), "vmap()");
        word = static_cast<uint32_t*>(*mapped);
        all_try(access::read, true, round);
        expect(vmalloc::vunmap(vmalloc_area, *mapped).has_value(), "vunmap()");
    }
    all_try(access::read, false, 0);
    for (const uint64_t page : pages)
        free_page(static_cast<uintptr_t>(page));
    end("unmapped");
}

void read_only() {
    begin();
    uint32_t* const mapped = allocate(7);
    for (uint32_t round = 0; round < rounds; ++round) {
        all_try(access::write, true, 7);
        expect(vmalloc::set_permission(vmalloc_area, mapped, permission::read_only).has_value(),
               "set_permission()");
        all_try(access::write, false, 0);
        all_try(access::read, true, 7);
        expect(vmalloc::set_permission(vmalloc_area, mapped, permission::read_write).has_value(),
               "set_permission()");
    }
    expect(vmalloc::vfree(vmalloc_area, mapped).has_value(), "vfree()");
    end("read-only");
}

void waits() {
    begin();
    for (uint32_t round = 0; round < 10; ++round) {
        uint32_t* const mapped = allocate(round);
        has_left = came_back = torn_down = lingering = false;
        linger = true;
        ++scene.count.raised;
        send_nmi(1);
        if (!wait_for([] { return bool{lingering}; }))
            ++scene.count.lost;
        torn_down = true;
        expect(vmalloc::vfree(vmalloc_area, mapped).has_value(), "vfree()");
        ++scene.count.boundaries;
        expect(has_left, "vfree() waited for the NMI handler");
        came_back = true;
        if (!has_left) {
            // A control. The next round would take this one's handler by surprise.
            if (!wait_for([] { return bool{has_left}; }))
                ++scene.count.lost;
            break;
        }
    }
    end("waits");
}

} // namespace

void vmalloc_torn_down() {
    begin();
    thread* threads[most_cpus] = {};
    for (uint32_t id = 1; id < cpu_count(); ++id)
        threads[id] = create_thread(id, read_on, nullptr, create_address_space());
    freed();
    unmapped();
    read_only();
    waits();
    stop = true;
    for (uint32_t id = 1; id < cpu_count(); ++id)
        join(threads[id]);
}

} // namespace kernel
