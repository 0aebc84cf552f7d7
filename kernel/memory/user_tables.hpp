// SPDX-License-Identifier: MIT
// What page tables of user mode have of the kernel, where the image isolates them; elsewhere
// nothing of this is.
#pragma once

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/memory/address_space.hpp"

namespace kernel {

#ifdef NMISAFE_PAGE_TABLE_ISOLATION

inline constexpr bool image_isolates_page_tables = true;

/// Gives user mode's tables what this CPU and the entries need until they have changed CR3. The
/// CPU's interrupt stacks are set up. @context boot, or the thread that starts that CPU
void isolate_page_tables(cpu& owner);

/// Tells the entries which page tables the thread that runs next has. @context any, interrupts off
void set_page_tables(cpu& mine, const address_space& space);

/// Of a shadow stack that an event may begin on. @context thread
inline void share_shadow_stack(uintptr_t page) {
    share_with_user_tables(page, page_size);
}

#else

inline constexpr bool image_isolates_page_tables = false;
inline void isolate_page_tables(cpu&) {}
inline void set_page_tables(cpu&, const address_space&) {}
inline void share_shadow_stack(uintptr_t) {}

#endif

} // namespace kernel
