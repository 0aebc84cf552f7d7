// SPDX-License-Identifier: MIT
#ifdef NMISAFE_PAGE_TABLE_ISOLATION

#include "kernel/memory/user_tables.hpp"

#include "kernel/common/image.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/user.hpp"

namespace kernel {

using namespace nmisafe;

namespace {

void share(const void* object, size_t size) {
    share_with_user_tables(reinterpret_cast<uintptr_t>(object), size);
}

/// The page with the frames of an IST. What else its handlers have put there user mode's tables
/// have too, deeper pages they do not.
void share_stack(uintptr_t pointer) {
    share_with_user_tables(pointer - 1, 1);
}

} // namespace

void isolate_page_tables(cpu& owner) {
    share(owner.entry_stack, page_size);
    const x86::table_register interrupt_table = internal::interrupt_table_register();
    share_with_user_tables(interrupt_table.base, interrupt_table.limit + 1);
    share(__start_nmisafe_trap_text,
          text_address(__stop_nmisafe_trap_text) - text_address(__start_nmisafe_trap_text));
    for (auto which = static_cast<unsigned>(interrupt_stack::nmi);
         which < static_cast<unsigned>(interrupt_stack::count); ++which)
        share_stack(owner.nmi_block->tss.ist[which - 1]);
#ifdef NMISAFE_TRAP_CONTROLS
    share(&nmisafe_trap_removed, sizeof(nmisafe_trap_removed));
    share(&nmisafe_user_removed, sizeof(nmisafe_user_removed));
#endif
    static_assert(sizeof(owner.entry_stack) >= user::smallest_entry_stack);
    owner.user.entry_stack =
        reinterpret_cast<uintptr_t>(owner.entry_stack) + sizeof(owner.entry_stack);
    owner.nmi_block->tss.rsp[0] = owner.user.entry_stack;
    set_page_tables(owner, kernel_space());
}

void set_page_tables(cpu& mine, const address_space& space) {
    user::set_page_tables(mine.user, *mine.nmi_block, space.top_table, space.task_table);
}

} // namespace kernel

#endif
