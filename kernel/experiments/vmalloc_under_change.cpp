// SPDX-License-Identifier: MIT
// vmalloc-under-change: an NMI at every instruction boundary of vmalloc() and of vfree() on CPU 0.
// At each, the handler itself and CPU 1, in a thread, access the very mapping that is being made or
// torn down, both in address spaces that lack its entry. What they find must be the mapping or
// none, never anything else; once a CPU has seen the later of the two it must not see the earlier
// again.
//
//   making        vmalloc(): nothing, then zeroed memory
//   tearing-down  vfree(): the memory with its content, then nothing
//
// As a control, without=shootdown lets CPU 1 go on with its TLB.
#include "kernel/core/command_line.hpp"
#include "kernel/core/lazy_areas.hpp"
#include "kernel/core/thread.hpp"
#include "kernel/core/try_read.hpp"
#include "kernel/experiments/every_instruction.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/lazy_pages.hpp"
#include "kernel/experiments/vmalloc_windows.h"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uint32_t torn_content = 0x600df00d;

uint32_t* address;          // of the mapping: the lowest free one, the same each time
address_space* nmi_space;   // of CPU 0
address_space* other_space; // of CPU 1
bool tearing_down;
bool worked;

/// What one CPU has seen in this pass.
struct observer {
    shared_flag seen_later;
};
observer here;
observer there;

enum question : uint32_t { question_look = 1, question_forget };

shared_word<uint32_t> asked; // a question in the low bits, counted above them
shared_word<uint32_t> answered;
shared_flag other_found;
shared_word<uint32_t> other_value;
shared_flag stop;
shared_count mapped_seen;
shared_count unmapped_seen;
shared_count faults_resolved;

void ask(question what) {
    asked = ((asked >> 2) + 1) << 2 | what;
    const uint32_t start = ticks();
    while (answered != asked) {
        x86::pause(); // with -icount that is how QEMU comes to run the other CPU
        if (ticks() - start > ticks_in(longest_wait_microseconds)) {
            fail("the other CPU answers", asked, answered);
            return;
        }
    }
}

void look_on(void*) {
    while (!stop) {
        const uint32_t question = asked;
        if (answered != question) {
            uint32_t value = 0;
            if ((question & 3) == question_forget)
                forget_lazy_pages(*other_space);
            else
                other_found = try_read(address, value);
            other_value = value;
            answered = question;
        }
        x86::pause();
    }
}

/// `is_over`: vmalloc() or vfree() has come back.
void judge(observer& who, bool found, uint32_t value, bool is_over) {
    if (found)
        ++mapped_seen;
    else
        ++unmapped_seen;
    const uint32_t content = tearing_down ? torn_content : 0;
    if (found && value != content)
        fail("another content", content, value);
    const bool is_later = found != tearing_down;
    if (!is_later && who.seen_later)
        fail("the mapping as it was before", tearing_down, found);
    if (!is_later && is_over)
        fail("the mapping as it was before, when all is over", tearing_down, found);
    if (is_later)
        who.seen_later = true;
}

void look(bool is_over) {
    uint32_t value = 0;
    const bool found = try_read(address, value);
    judge(here, found, value, is_over);
    ask(question_look);
    judge(there, other_found, other_value, is_over);
}

void body(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame))
        raise_nmi_here();
    look(false);
}

bool on_page_fault(trap_frame& frame, uintptr_t at) {
    show_resume_flag(frame);
    if (handle_lazy_fault(frame, at) == vmalloc::fault::resolved) {
        ++faults_resolved;
        return true;
    }
    return give_up_access(frame);
}

bool make() {
    const auto made = vmalloc::vmalloc(vmalloc_area, page_size, vmalloc::permission::read_write);
    if (!made)
        return false;
    if (address != nullptr && *made != address)
        fail("the address of the mapping", reinterpret_cast<uintptr_t>(address),
             reinterpret_cast<uintptr_t>(*made));
    address = static_cast<uint32_t*>(*made);
    return true;
}

bool tear_down() {
    return vmalloc::vfree(vmalloc_area, address).has_value();
}

void prepare() {
    begin_pass(true);
    x86::enable_interrupts();
    // What is to be made was there and is gone: so each pass takes its page from the same place.
    if (!make() || (!tearing_down && !tear_down()))
        fail("vmalloc() and vfree() before", 1, 0);
    if (tearing_down)
        *address = torn_content;
    ask(question_forget);
    forget_lazy_pages(*nmi_space);
    x86::disable_interrupts();
    here.seen_later = there.seen_later = false;
}

void check() {
    settle();
    expect_two_handlers(nullptr);
    if (!worked)
        fail("vmalloc() or vfree()", 1, 0);
    look(true);
    x86::enable_interrupts();
    if (!tearing_down && !tear_down())
        fail("vfree()", 1, 0);
    x86::disable_interrupts();
}

const swept_path paths[] = {
    {"making",
     body,
     {window_map, prepare, both_handled, check, 1},
     window_map_begin,
     window_map_end,
     true},
    {"tearing-down",
     body,
     {window_unmap, prepare, both_handled, check, 1},
     window_unmap_begin,
     window_unmap_end,
     true},
};

void run(void*) {
    x86::disable_interrupts();
    for (const swept_path& which : paths) {
        tearing_down = &which != paths;
        if (!tearing_down && option("without") == "shootdown")
            continue; // what is made needs no flush
        mapped_seen = unmapped_seen = faults_resolved = 0;
        sweep_or_trace(which, on_page_fault);
        if (mapped_seen == 0 || unmapped_seen == 0)
            fail("both states seen", mapped_seen, unmapped_seen);
    }
}

} // namespace

/// Interrupts on: who waits for other CPUs must let theirs in.
extern "C" void map_action() {
    x86::enable_interrupts();
    worked = make();
    x86::disable_interrupts();
}

extern "C" void unmap_action() {
    x86::enable_interrupts();
    worked = tear_down();
    x86::disable_interrupts();
}

void vmalloc_under_change() {
    if (!make() || !tear_down())
        fail("the mapping's address", 1, 0);
    nmi_space = create_address_space();
    other_space = create_address_space();
    thread* const other = create_thread(1, look_on, nullptr, other_space);
    join(create_thread(0, run, nullptr, nmi_space));
    stop = true;
    join(other);
}

} // namespace kernel
