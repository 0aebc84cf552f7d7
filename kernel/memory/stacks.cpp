// SPDX-License-Identifier: MIT
#include "kernel/memory/stacks.hpp"

#include "kernel/console/command_line.hpp"
#include "kernel/cpu/cet.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/user_tables.hpp"
#include "kernel/panic/panic.hpp"
#include "nmisafe/trap/nmi_block.h"

namespace kernel {

namespace {

constexpr uintptr_t slot_size = KERNEL_STACK_SLOT;
constexpr uintptr_t largest_stack = slot_size - page_size;

uintptr_t stack_pages;
uint32_t stacks_in_use;

// Of each CPU that has been started: kept when it is started again.
uintptr_t tops_of_interrupts[most_cpus][static_cast<unsigned>(interrupt_stack::count)];

} // namespace

void set_up_stacks() {
    const uint32_t size = option_number("stack", largest_stack);
    constexpr uint32_t smallest = image_has_shadow_stacks
                                      ? nmisafe::trap::smallest_stack + page_size
                                      : nmisafe::trap::smallest_stack;
    if (size < smallest)
        panic("stack too small", nullptr, size);
    if (size > largest_stack)
        panic("stack too large", nullptr, size);
#ifdef __x86_64__
    // In pages: the stacks are.
    static_assert(nmisafe::trap::smallest_nmi_stack + sizeof(nmisafe::trap::nmi_block) <=
                  (image_has_shadow_stacks ? 2 : 1) * page_size);
#endif
    stack_pages = (size + page_size - 1) / page_size;
}

namespace {

/// The top of a slot.
uintptr_t take_slot() {
    const uint32_t slot = __atomic_fetch_add(&stacks_in_use, 1, __ATOMIC_RELAXED);
    if (slot >= KERNEL_STACK_SLOTS)
        panic("too many stacks", nullptr, slot);
    return KERNEL_PAGES_BASE + (slot + 1) * slot_size;
}

} // namespace

uintptr_t allocate_stack() {
    // The guard page is the one below the stack, at the slot's begin if the stack fills it.
    const uintptr_t top = take_slot();
    for (uintptr_t page = 1; page <= stack_pages; ++page)
        map(kernel_space(), top - page * page_size, allocate_page(), true);
    return top;
}

#ifdef NMISAFE_SHADOW_STACK
namespace {

/// By the direct map, where the page is one like any other.
void write_shadow_word(uintptr_t address, uintptr_t value) {
    const uintptr_t page = *find_entry(kernel_space(), address) & ~(page_size - 1);
    *static_cast<uintptr_t*>(physical_to_virtual(page + address % page_size)) = value;
}

} // namespace

uintptr_t allocate_shadow_stack() {
    const uintptr_t top = take_slot();
    map_shadow_stack(kernel_space(), top - page_size, allocate_page());
    share_shadow_stack(top - page_size);
    const uintptr_t last_word = top - sizeof(uintptr_t);
    write_shadow_word(last_word, last_word);
    return last_word;
}

namespace {

/// That of level 0 in a page of its own, the others in the one above it.
uintptr_t allocate_nmi_shadow_stacks() {
    const uintptr_t middle = take_slot() - page_size;
    map_shadow_stack(kernel_space(), middle - page_size, allocate_page());
    map_shadow_stack(kernel_space(), middle, allocate_page());
    share_shadow_stack(middle - page_size);
    share_shadow_stack(middle);
    const uintptr_t first = middle - sizeof(uintptr_t);
    for (uintptr_t level = 0; level <= 3; ++level) {
        const uintptr_t token = first + level * nmisafe::trap::nmi_shadow_stride;
        write_shadow_word(token, token);
    }
    return first;
}

} // namespace

uintptr_t prepare_shadow_stack(uintptr_t last_word, uintptr_t ip) {
    const uintptr_t begin = last_word - sizeof(uintptr_t);
    const uintptr_t token = begin - sizeof(uintptr_t);
    write_shadow_word(begin, ip);
    write_shadow_word(token, begin | X86_SHADOW_TOKEN_64_BIT);
    return token;
}
#endif

void set_up_interrupt_stacks(cpu& owner) {
    for (auto which = static_cast<unsigned>(interrupt_stack::nmi);
         which < static_cast<unsigned>(interrupt_stack::count); ++which) {
        const auto stack = static_cast<interrupt_stack>(which);
#ifdef __i386__
        if (stack != interrupt_stack::double_fault)
            continue; // the CPU would never use it
#endif
        uintptr_t& top = tops_of_interrupts[owner.id][which];
        if (top == 0)
            top = allocate_stack();
        set_interrupt_stack(owner, stack, top);
    }
    isolate_page_tables(owner);
#ifdef NMISAFE_SHADOW_STACK
    if (!uses_shadow_stacks())
        return;
    owner.shadow_stack = allocate_shadow_stack();
    for (auto which = static_cast<unsigned>(interrupt_stack::nmi) + 1;
         which < static_cast<unsigned>(interrupt_stack::count); ++which)
        owner.nmi_block->ssp_table[which] = allocate_shadow_stack();
    nmisafe::trap::set_up_nmi_shadow_stacks(*owner.nmi_block, allocate_nmi_shadow_stacks());
#endif
}

namespace {

/// Whether it is in the slot of a stack, and how far below the stack's top.
bool is_in_slot(uintptr_t address, uintptr_t& below_top) {
    const uintptr_t offset = address - KERNEL_PAGES_BASE;
    below_top = slot_size - offset % slot_size;
    return offset < KERNEL_STACK_SLOTS * slot_size;
}

} // namespace

uintptr_t stack_top(uintptr_t sp) {
    uintptr_t below_top;
    return is_in_slot(sp, below_top) && below_top <= stack_pages * page_size ? sp + below_top : sp;
}

bool in_guard_page(uintptr_t address) {
    uintptr_t below_top;
    return is_in_slot(address, below_top) && below_top > stack_pages * page_size;
}

} // namespace kernel
