// SPDX-License-Identifier: MIT
#include "kernel/experiments/shared/vmalloc_observers.hpp"

#include "kernel/cpu/try_read.hpp"
#include "kernel/experiments/shared/lazy_pages.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

using namespace nmisafe;

constinit observed_mapping mapping{};

namespace {

observer here;
observer there;
thread* other;

constexpr uint32_t request_bits = 7;

shared_word<uint32_t> asked; // a request in the low bits, counted above them
shared_word<uint32_t> answered;
shared_flag other_found;
shared_word<uint32_t> other_value;
shared_flag stop;

void answer(request what) {
    uint32_t value = 0;
    switch (what) {
    case request::look:
        other_found = try_read(mapping.address, value);
        other_value = value;
        break;
    case request::forget:
        forget_lazy_pages(*mapping.other_space);
        break;
    case request::make:
        if (!make_mapping())
            fail("vmalloc() on the other CPU", 1, 0);
        break;
    case request::tear_down:
        if (!tear_down_mapping())
            fail("vfree() on the other CPU", 1, 0);
        break;
    }
}

void serve(void*) {
    while (!stop) {
        const uint32_t question = asked;
        if (answered != question) {
            answer(static_cast<request>(question & request_bits));
            answered = question;
        }
        x86::pause();
    }
}

} // namespace

bool make_mapping() {
    const auto made = vmalloc::vmalloc(vmalloc_area, page_size, vmalloc::permission::read_write);
    if (!made)
        return false;
    if (mapping.address != nullptr && *made != mapping.address)
        fail("the address of the mapping", reinterpret_cast<uintptr_t>(mapping.address),
             reinterpret_cast<uintptr_t>(*made));
    mapping.address = static_cast<uint32_t*>(*made);
    mapping.is_mapped = true;
    return true;
}

bool tear_down_mapping() {
    if (!vmalloc::vfree(vmalloc_area, mapping.address))
        return false;
    mapping.is_mapped = false;
    return true;
}

void start_observers() {
    if (!make_mapping() || !tear_down_mapping())
        fail("the mapping's address", 1, 0);
    mapping.nmi_space = create_address_space();
    mapping.other_space = create_address_space();
    other = create_thread(1, serve, nullptr, mapping.other_space);
}

void stop_observers() {
    stop = true;
    join(other);
}

void start_other(request what) {
    asked = ((asked & ~request_bits) + request_bits + 1) | static_cast<uint32_t>(what);
}

void finish_other() {
    const uint32_t start = ticks();
    while (answered != asked) {
        x86::pause(); // with -icount that is how QEMU comes to run the other CPU
        if (ticks() - start > ticks_in(longest_wait_microseconds)) {
            fail("the other CPU answers", asked, answered);
            return;
        }
    }
}

void judge_access(observer& who, bool found, uint32_t value, bool is_over) {
    if (found)
        ++mapping.mapped_seen;
    else
        ++mapping.unmapped_seen;
    const uint32_t content = mapping.tearing_down ? torn_content : 0;
    if (found && value != content)
        fail("another content", content, value);
    const bool is_later = found != mapping.tearing_down;
    if (!is_later && who.seen_later)
        fail("the mapping as it was before", mapping.tearing_down, found);
    if (!is_later && is_over)
        fail("the mapping as it was before, when all is over", mapping.tearing_down, found);
    if (is_later)
        who.seen_later = true;
}

void look_from_here(bool is_over) {
    uint32_t value = 0;
    const bool found = try_read(mapping.address, value);
    judge_access(here, found, value, is_over);
}

void look_at_mapping(bool is_over) {
    look_from_here(is_over);
    // It may be at work on the change itself.
    if (answered != asked)
        return;
    ask_other(request::look);
    judge_access(there, other_found, other_value, is_over);
}

const observer& own_observer() {
    return here;
}

void restore_mapping() {
    // What is to be made was there and is gone: so each pass takes its page from the same place.
    if ((!mapping.is_mapped && !make_mapping()) || (!mapping.tearing_down && !tear_down_mapping()))
        fail("vmalloc() and vfree() before", 1, 0);
    if (mapping.tearing_down)
        *mapping.address = torn_content;
    ask_other(request::forget);
    forget_lazy_pages(*mapping.nmi_space);
    here.seen_later = there.seen_later = false;
}

bool on_observed_fault(x86::trap_frame& frame, uintptr_t at) {
    show_resume_flag(frame);
    return handle_lazy_fault(frame, at) == vmalloc::fault::resolved || give_up_access(frame);
}

} // namespace kernel
