// SPDX-License-Identifier: MIT
// Which areas are taken, and what is asked of whom: each rule at its edge, one less and one more;
// and that who has forgotten set_up(), or must not ask, is told so and has changed nothing.
#include "nmisafe/vmalloc/fixture_test.hpp"

#include <doctest/doctest.h>
#include <string>

namespace nmisafe::vmalloc::test {

namespace {

using x86::paging_mode;

constexpr paging_mode mode = nmisafe_platform::paging;

/// In an entry above the shared level in which nobody has anything.
#if UINTPTR_MAX > 0xffffffff
constexpr area absent(0xffffffff40000000, 0xffffffff44000000, 2);
#else
constexpr area absent(0x80000000, 0x84000000, 2);
#endif

struct candidate {
    const char* what;
    area where;
    bool valid;
};

constexpr candidate of_32_bits[] = {
    {"as large as it can be", {0xc0000000, 0xff800000, 2}, true},
    {"empty", {0xc0000000, 0xc0000000, 2}, false},
    {"one page", {0xc0000000, 0xc0001000, 2}, true},
    {"ends before it begins", {0xc0001000, 0xc0000000, 2}, false},
    {"a begin within a page", {0xc0000fff, 0xc0002000, 2}, false},
    {"an end within a page", {0xc0000000, 0xc0001001, 2}, false},
    {"level 0", {0xc0000000, 0xc0400000, 0}, false},
    {"level 1", {0xc0000000, 0xc0400000, 1}, false},
    {"level 3", {0xc0000000, 0xc0400000, 3}, false},
    {"level 4", {0xc0000000, 0xc0400000, 4}, false},
    {"to the last page", {0xc0000000, 0xfffff000, 2}, false},
};
constexpr candidate of_two_levels[] = {
    {"up to the last table", {0xc0000000, 0xffc00000, 2}, true},
    {"a page of the last table", {0xc0000000, 0xffc01000, 2}, false},
    {"all", {0, 0xffc00000, 2}, true},
};
constexpr candidate of_pae[] = {
    {"up to the last table", {0xc0000000, 0xffe00000, 2}, true},
    {"a page of the last table", {0xc0000000, 0xffe01000, 2}, false},
    {"a whole top-level entry", {0x80000000, 0xc0000000, 2}, true},
    {"a page more behind it", {0x80000000, 0xc0001000, 2}, false},
    {"a page more before it", {0x7ffff000, 0xc0000000, 2}, false},
};
#if UINTPTR_MAX > 0xffffffff
constexpr uintptr_t half = 0xffff800000000000;
constexpr uintptr_t mib = 0x100000;
constexpr candidate of_four_levels[] = {
    {"a whole half", {half, 0xffffffff80000000, 4}, true},
    {"the lower half", {page_size, 0x0000800000000000, 4}, true},
    {"a page behind the lower half", {page_size, 0x0000800000001000, 4}, false},
    {"a page before the upper half", {half - page_size, half + page_size, 4}, false},
    {"across the gap", {0x00007ffffffff000, half + page_size, 4}, false},
    {"in the gap", {0x1000000000000000, 0x1000000000001000, 4}, false},
    {"level 5", {half, half + mib, 5}, false},
    {"level 1", {half, half + mib, 1}, false},
    {"up to the last table", {0xffffffffc0000000, 0 - 2 * mib, 2}, true},
    {"a page of the last table", {0xffffffffc0000000, 0 - 2 * mib + page_size, 2}, false},
    {"level 2, a whole entry above", {0xffffffff80000000, 0xffffffffc0000000, 2}, true},
    {"level 2, a page more", {0xffffffff80000000, 0xffffffffc0001000, 2}, false},
    {"level 2, a page before", {0xffffffff7ffff000, 0xffffffffc0000000, 2}, false},
    {"level 3, a whole entry above", {0xffffff0000000000, 0xffffff8000000000, 3}, true},
    {"level 3, a page more", {0xffffff0000000000, 0xffffff8000001000, 3}, false},
};
#endif

template <size_t Count>
void check_candidates(paging_mode of, const candidate (&all)[Count]) {
    for (const candidate& one : all) {
        CAPTURE(std::string(one.what));
        CHECK(one.where.is_valid(of) == one.valid);
    }
}

/// Each call about an area, and what it says.
template <typename Check>
void for_each_call(const area& where, uint64_t space, Check check) {
    const uint64_t page = nmisafe_platform::memory.allocate();
    const auto* const address = reinterpret_cast<const void*>(where.begin() + page_size);
    check("add_to", add_to(space, where).error());
    check("remove_from", remove_from(space, where).error());
    check("vmalloc_sync_mappings", vmalloc_sync_mappings(where).error());
    check("vmalloc", vmalloc(where, 1, permission::read_write).error());
    check("vmap", vmap(where, &page, 1, permission::read_write).error());
    check("vfree", vfree(where, address).error());
    check("vunmap", vunmap(where, address).error());
    check("set_permission", set_permission(where, address, permission::read_only).error());
    nmisafe_platform::memory.free(page);
}

} // namespace

static_assert(large.is_valid(mode) && small.is_valid(mode) && beside.is_valid(mode) &&
              absent.is_valid(mode));

TEST_CASE("each rule of an area has an edge") {
    check_candidates(paging_mode::two_level, of_two_levels);
    check_candidates(paging_mode::pae, of_pae);
    check_candidates(paging_mode::two_level, of_32_bits);
    check_candidates(paging_mode::pae, of_32_bits);
#if UINTPTR_MAX > 0xffffffff
    check_candidates(paging_mode::four_level, of_four_levels);
    // What 32 bits cannot hold.
    for (const paging_mode of : {paging_mode::two_level, paging_mode::pae})
        CHECK_FALSE(area(0x100000000, 0x100001000, 2).is_valid(of));
#endif
}

TEST_CASE("a bad area is refused by whatever is asked for it") {
    const kernel k;
    const uint64_t space = k.make_space();
    const size_t before = pages_in_use();
    const area bad[] = {{small.begin() + 1, small.end(), small.shared_level()},
                        {small.begin(), small.begin(), small.shared_level()},
                        {small.begin(), small.end(), 7},
                        {small.begin(), small.end(), 1}};
    for (const area& one : bad) {
        CHECK(set_up(one).error() == vmalloc_error::bad_area);
        for_each_call(one, space, [](const char* call, vmalloc_error why) {
            CAPTURE(std::string(call));
            CHECK(why == vmalloc_error::bad_area);
        });
    }
    CHECK(pages_in_use() == before);
    CHECK(nmisafe_platform::mapping_lock == 0);
}

// Where the shared level is the topmost one there is nothing that set_up() would make.
TEST_CASE("without set_up() nothing is done") {
    const kernel k;
    const uint64_t space = k.make_space();
    if (absent.shared_level() != format.levels) {
        const size_t before = pages_in_use();
        for_each_call(absent, space, [](const char* call, vmalloc_error why) {
            CAPTURE(std::string(call));
            CHECK(why == vmalloc_error::not_set_up);
        });
        CHECK(pages_in_use() == before);
        CHECK(raw_entry(k.top, index_at(absent.begin(), format.levels)) ==
              raw_entry(space, index_at(absent.begin(), format.levels)));
    }
    nmisafe_platform::kernel_top = 0;
    CHECK(set_up(small).error() == vmalloc_error::bad_page);
    for_each_call(small, space, [](const char* call, vmalloc_error why) {
        CAPTURE(std::string(call));
        CHECK(why == vmalloc_error::not_set_up);
    });
}

TEST_CASE("set_up() makes no top-level entry that a CPU may not know") {
    const kernel k;
    const uintptr_t index = index_at(absent.begin(), format.levels);
    if (mode != paging_mode::pae) {
        CHECK(set_up(absent));
        CHECK(set_up(absent)); // again: all is there
        CHECK(vmalloc(absent, 1, permission::read_write));
        return;
    }
    REQUIRE(raw_entry(k.top, index) == 0);
    const size_t before = pages_in_use();
    CHECK(set_up(absent).error() == vmalloc_error::no_top_entry);
    CHECK(raw_entry(k.top, index) == 0);
    CHECK(pages_in_use() == before);
    CHECK(nmisafe_platform::mapping_lock == 0);
    // Who makes the top-level table fills it in.
    set_raw_entry(k.top, index, nmisafe_platform::memory.allocate() | 1);
    const uint64_t space = k.make_space();
    CHECK(set_up(absent));
    CHECK(add_to(space, absent).value_or(0) == 1); // a page directory of its own
    CHECK(raw_entry(space, index) != raw_entry(k.top, index));
    CHECK(vmalloc(absent, 1, permission::read_write));
}

TEST_CASE("a large page in the way is no lack of memory") {
    const kernel k;
    set_raw_entry(*table_at(k.top, small.begin(), 2), index_at(small.begin(), 2),
                  kernel::large_page);
    CHECK(vmalloc(small, 1, permission::read_write).error() == vmalloc_error::large_page);
    if (format.levels == 4) {
        set_raw_entry(*table_at(k.top, absent.begin(), 3), index_at(absent.begin(), 3),
                      kernel::large_page);
        CHECK(set_up(absent).error() == vmalloc_error::large_page);
        CHECK(vmalloc(absent, 1, permission::read_write).error() == vmalloc_error::not_set_up);
    }
    CHECK(nmisafe_platform::mapping_lock == 0);
}

TEST_CASE("an address space that is none, or the kernel's own, is left alone") {
    const kernel k;
    const uint64_t before = raw_entry(k.top, index_at(small.begin(), format.levels));
    for (const uint64_t with : {k.top, k.top | 0x18}) { // CR3 has bits beside the address
        CHECK(add_to(with, small).error() == vmalloc_error::kernel_space);
        CHECK(remove_from(with, small).error() == vmalloc_error::kernel_space);
    }
    CHECK(raw_entry(k.top, index_at(small.begin(), format.levels)) == before);
    CHECK(add_to(0, small).error() == vmalloc_error::bad_page);
    CHECK(remove_from(0x18, small).error() == vmalloc_error::bad_page);
    const uint64_t space = k.make_space();
    CHECK(add_to(space | 0x18, small));
    CHECK(remove_from(space | 0x18, small));
}

TEST_CASE("who must not wait is told so first") {
    const kernel k;
    const uint64_t space = k.make_space();
    nmisafe_platform::cpu.nmi_in_progress = 1;
    for (const area* one : {&small, &absent}) {
        CHECK(set_up(*one).error() == vmalloc_error::in_nmi);
        for_each_call(*one, space, [](const char* call, vmalloc_error why) {
            CAPTURE(std::string(call));
            CHECK(why == vmalloc_error::in_nmi);
        });
    }
}

} // namespace nmisafe::vmalloc::test
