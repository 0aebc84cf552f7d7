// SPDX-License-Identifier: MIT
#ifdef NMISAFE_PAGE_TABLE_ISOLATION

#include "kernel/memory/user_tables.hpp"

#include "kernel/common/image.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/memory/stacks.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/user.hpp"

namespace kernel {

using namespace nmisafe;

namespace {

void share(const void* object, size_t size) {
    share_with_user_tables(reinterpret_cast<uintptr_t>(object), size);
}

/// The page with the frames of an IST, or of x86-32's entry stack. What else handlers have put there
/// user mode's tables have too, deeper pages they do not.
void share_stack(uintptr_t pointer) {
    share_with_user_tables(pointer - 1, 1);
}

#ifdef __x86_64__

void share_own(cpu& owner) {
    share(owner.entry_stack, page_size);
    for (auto which = static_cast<unsigned>(interrupt_stack::nmi);
         which < static_cast<unsigned>(interrupt_stack::count); ++which)
        share_stack(owner.nmi_block->tss.ist[which - 1]);
    static_assert(sizeof(owner.entry_stack) >= user::smallest_entry_stack);
    owner.user.entry_stack =
        reinterpret_cast<uintptr_t>(owner.entry_stack) + sizeof(owner.entry_stack);
    owner.nmi_block->tss.rsp[0] = owner.user.entry_stack;
}

#else

void share_own(cpu& owner) {
    share(&owner.user, sizeof(owner) - offsetof(cpu, user));
    if (owner.user.entry_stack == 0) // not started before
        owner.user.entry_stack = allocate_stack();
    share_stack(owner.user.entry_stack);
    owner.tss.esp0 = owner.user.entry_stack;
    owner.tss.ss0 = data_selector;
}

#endif

} // namespace

void isolate_page_tables(cpu& owner) {
    share_own(owner);
    const x86::table_register interrupt_table = internal::interrupt_table_register();
    share_with_user_tables(interrupt_table.base, interrupt_table.limit + 1);
    share(__start_nmisafe_trap_text,
          text_address(__stop_nmisafe_trap_text) - text_address(__start_nmisafe_trap_text));
#ifdef NMISAFE_TRAP_CONTROLS
    share(&nmisafe_trap_removed, sizeof(nmisafe_trap_removed));
    share(&nmisafe_user_removed, sizeof(nmisafe_user_removed));
#endif
    set_page_tables(owner, kernel_space());
}

void set_page_tables(cpu& mine, const address_space& space) {
#ifdef __x86_64__
    user::set_page_tables(mine.user, *mine.nmi_block, space.top_table, space.task_table);
#else
    user::set_page_tables(mine.user, space.top_table, space.task_table);
#endif
}

} // namespace kernel

#endif
