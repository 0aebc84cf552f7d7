// SPDX-License-Identifier: MIT
// A kernel that uses vmalloc and lacks something for it reads its name.
//
// error 1: lacks: static constexpr nmisafe::x86::paging_mode paging
// error 2: lacks: static uint64_t kernel_top_table\(\)
// error 3: lacks: static void\* page_at\(uint64_t physical\)
// error 4: lacks: static uint64_t allocate_page\(\)
// error 5: lacks: static void free_page\(uint64_t physical\)
// error 6: lacks: static bool has_no_execute\(\)
// error 7: lacks: static bool may_synchronise\(\)
// error 8: lacks: static void flush_tlb\(uintptr_t begin, uintptr_t end\)
// error 9: lacks: static void lock_mappings\(\), static void unlock_mappings\(\)
// error 10: lacks: static void for_each_top_table
// error 11: lacks: static constexpr nmisafe::x86::paging_mode paging
#include "nmisafe/platform/requirements.hpp"

struct mapping_kernel {
#if EXPECT_ERROR == 11
    static constexpr int paging = 4; // a number of levels
#elif EXPECT_ERROR != 1
    static constexpr auto paging = nmisafe::x86::paging_mode::four_level;
#endif
#if EXPECT_ERROR != 2
    static uint64_t kernel_top_table();
#endif
#if EXPECT_ERROR != 3
    static void* page_at(uint64_t physical);
#endif
#if EXPECT_ERROR != 4
    static uint64_t allocate_page();
#endif
#if EXPECT_ERROR != 5
    static void free_page(uint64_t physical);
#endif
#if EXPECT_ERROR != 6
    static bool has_no_execute();
#endif
#if EXPECT_ERROR != 7
    static bool may_synchronise();
#endif
#if EXPECT_ERROR != 8
    static void flush_tlb(uintptr_t begin, uintptr_t end);
#endif
    static void lock_mappings();
#if EXPECT_ERROR != 9
    static void unlock_mappings();
#endif
#if EXPECT_ERROR != 10
    static void for_each_top_table(void (*function)(uint64_t, void*), void* argument);
#endif
};
static_assert(nmisafe::platform::check_vmalloc_contract<mapping_kernel>());
