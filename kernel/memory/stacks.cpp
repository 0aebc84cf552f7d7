// SPDX-License-Identifier: MIT
#include "kernel/memory/stacks.hpp"

#include "kernel/console/command_line.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/panic/panic.hpp"
#include "nmisafe/trap/nmi_stack.hpp"

namespace kernel {

namespace {

constexpr uintptr_t slot_size = KERNEL_STACK_SLOT;
constexpr uintptr_t largest_stack = slot_size - page_size;

uintptr_t stack_pages;
uint32_t stacks_in_use;

} // namespace

void set_up_stacks() {
    const uint32_t size = option_number("stack", largest_stack);
    if (size < nmisafe::trap::smallest_stack)
        panic("stack too small", nullptr, size);
    if (size > largest_stack)
        panic("stack too large", nullptr, size);
    stack_pages = (size + page_size - 1) / page_size;
}

uintptr_t allocate_stack() {
    const uint32_t slot = __atomic_fetch_add(&stacks_in_use, 1, __ATOMIC_RELAXED);
    if (slot >= KERNEL_STACK_SLOTS)
        panic("too many stacks", nullptr, slot);
    // The guard page is the one below the stack, at the slot's begin if the stack fills it.
    const uintptr_t top = KERNEL_PAGES_BASE + (slot + 1) * slot_size;
    for (uintptr_t page = 1; page <= stack_pages; ++page)
        map(kernel_space(), top - page * page_size, allocate_page(), true);
    return top;
}

void set_up_interrupt_stacks(cpu& owner) {
    for (auto which = static_cast<unsigned>(interrupt_stack::nmi);
         which < static_cast<unsigned>(interrupt_stack::count); ++which) {
        const auto stack = static_cast<interrupt_stack>(which);
#ifdef __i386__
        if (stack != interrupt_stack::double_fault)
            continue; // the CPU would never use it
#endif
        set_interrupt_stack(owner, stack, allocate_stack());
    }
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
