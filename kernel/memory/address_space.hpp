// SPDX-License-Identifier: MIT
// Page tables: the kernel half that all address spaces share, and the low half that each has alone.
#pragma once

#include "kernel/memory/pages.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

/// A top-level table.
struct address_space {
    uintptr_t top_table; ///< Its physical address: CR3. 0: not in use.
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    /// CR3 in user mode: the same low half, and of the kernel only what share_with_user_tables()
    /// names. The kernel's own has none.
    uintptr_t task_table;
#endif
};

/// How this kernel pages: chosen when it is built.
#ifdef __x86_64__
inline constexpr auto paging = nmisafe::x86::paging_mode::four_level;
#elif defined(KERNEL_PAE)
inline constexpr auto paging = nmisafe::x86::paging_mode::pae;
#else
inline constexpr auto paging = nmisafe::x86::paging_mode::two_level;
#endif

/// Lets entries forbid execution, if this CPU and the paging mode can. @context boot of each CPU
void set_up_no_execute();

/// Whether they can. @context any
bool has_no_execute();

/// Makes the kernel's own address space, without the identity map of the boot, and switches to it.
/// @context boot, first CPU, after set_up_pages()
void set_up_address_spaces();

namespace internal {
extern address_space kernel_space;
}

/// The one with nothing in its low half. @context any, page faults among them: inlined into what
/// must not be probed
[[NMISAFE_TRAP_INLINE]] inline address_space& kernel_space() {
    return internal::kernel_space;
}

/// A new one: its own low half, empty, and the shared kernel half, with nothing in the lazy areas
/// yet. Panics when there are too many or no memory is left. @context thread
address_space* create_address_space();

/// Gives one back. Its low half is empty, no CPU and no thread uses it. @context thread
void destroy_address_space(address_space* space);

/// @context any; the kernel half does not change under the caller.
[[NMISAFE_TRAP_INLINE]] inline void switch_to(const address_space& space) {
    nmisafe::x86::write_cr3(space.top_table);
}

/// Maps one 4 KiB page, which must not be mapped yet. Any `space` does for the kernel half.
/// @context thread
void map(address_space& space, uintptr_t virtual_address, uintptr_t physical, bool writable);

/// The same for user mode, in the low half. Without `executable` no execution, if this CPU can
/// forbid it. @context thread
void map_user(address_space& space, uintptr_t virtual_address, uintptr_t physical, bool writable,
              bool executable);

/// Where the kernel sees what user mode may access at an address: null if it may not. Valid until
/// the end of the page. @context thread
void* user_memory(const address_space& space, uintptr_t virtual_address, bool writable);

#ifdef NMISAFE_SHADOW_STACK
/// The same for a page of a shadow stack. [intel/vol3 4.6]
void map_shadow_stack(address_space& space, uintptr_t virtual_address, uintptr_t physical);
#endif

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
/// Maps the pages of the kernel that have any of these bytes in the user mode's tables of all
/// address spaces too, for ring 0 alone, where they are not yet. They stay. @context boot, or the
/// thread that starts a CPU
void share_with_user_tables(uintptr_t begin, size_t size);

/// Calls `function` with each page that is so, in order. @context thread
void for_each_shared_page(void (*function)(uintptr_t page, void* argument), void* argument);
#endif

/// Takes a page out, and out of this CPU's TLB; other CPUs may still have it in theirs.
/// @context thread
void unmap(address_space& space, uintptr_t virtual_address);

/// The entry for an address at a level (1: the page's own), null where no table of that level leads
/// to it. With PAE its low word: the high one is 0, because nothing that this file maps needs it.
/// @context any
uintptr_t* find_entry(const address_space& space, uintptr_t virtual_address, unsigned level = 1);

/// Calls `function` with the top-level table of every address space. @context thread
void for_each_top_table(void (*function)(uint64_t top_table, void* argument), void* argument);

} // namespace kernel
