// SPDX-License-Identifier: MIT
// Address spaces learn of mappings by faults: what is copied, what is refused.
#include "nmisafe/vmalloc/fixture_test.hpp"
#include "nmisafe/vmalloc/internal/resolve.hpp"

#include <doctest/doctest.h>

namespace nmisafe::vmalloc::test {

namespace {

namespace error_bit = x86::page_fault_error;

/// An address space prepared for all areas.
uint64_t make_prepared_space(const kernel& k) {
    const uint64_t space = k.make_space();
    for (const area* one : {&large, &small, &beside})
        REQUIRE(add_to(space, *one));
    return space;
}

fault touch(const area& where, uint64_t space, uintptr_t address, uintptr_t error = 0) {
    return internal::resolve(where, error, address, space);
}

size_t entry_covers(const area& where) {
    return size_t{1} << (12 + format.index_bits * (where.shared_level() - 1));
}

} // namespace

TEST_CASE("an address space takes one fault for each entry that it lacks") {
    const kernel k;
    const uint64_t space = make_prepared_space(k);
    const size_t size = 2 * entry_covers(small) + page_size;
    const auto made = vmalloc(small, size, permission::read_write);
    REQUIRE(made);
    unsigned faults = 0;
    for (uintptr_t address = to_address(*made); address < to_address(*made) + size;
         address += page_size) {
        if (leaf_at(space, address))
            continue;
        ++faults;
        REQUIRE(touch(small, space, address) == fault::resolved);
        REQUIRE(leaf_at(space, address) == leaf_at(k.top, address));
    }
    const uintptr_t last = to_address(*made) + size - 1;
    CHECK(faults == last / entry_covers(small) - to_address(*made) / entry_covers(small) + 1);
}

TEST_CASE("what was mapped later in an entry that is there needs no fault") {
    const kernel k;
    const uint64_t space = make_prepared_space(k);
    const auto first = vmalloc(large, page_size, permission::read_write);
    REQUIRE(touch(large, space, to_address(*first)) == fault::resolved);
    const auto second = vmalloc(large, page_size, permission::read_write);
    CHECK(leaf_at(space, to_address(*second)));
    // And what is torn down is gone there too.
    REQUIRE(vfree(large, *first));
    CHECK(!leaf_at(space, to_address(*first)));
    CHECK(touch(large, space, to_address(*first)) == fault::bad);
}

TEST_CASE("an access that is not allowed is bad, also after an entry was copied for it") {
    const kernel k;
    const uint64_t space = make_prepared_space(k);
    const auto data = vmalloc(large, page_size, permission::read_write);
    const auto constant = vmalloc(large, page_size, permission::read_only);
    const auto code = vmalloc(large, page_size, permission::execute);
    REQUIRE((data && constant && code));
    const auto with = [&](const void* address, uintptr_t error) {
        return touch(large, space, to_address(address), error);
    };
    CHECK(with(*constant, error_bit::write) == fault::bad);
    CHECK(with(*constant, 0) == fault::resolved);
    CHECK(with(*constant, error_bit::present | error_bit::write) == fault::bad);
    CHECK(with(*data, error_bit::write) == fault::resolved);
    CHECK(with(*code, error_bit::write) == fault::bad);
    CHECK(with(*code, error_bit::fetch) == fault::resolved);
    if (format.entry_size == 8) {
        CHECK(with(*data, error_bit::fetch) == fault::bad);
        CHECK(with(*constant, error_bit::fetch) == fault::bad);
    }
    CHECK(with(*data, error_bit::user) == fault::bad);
    CHECK(with(*data, error_bit::present | error_bit::reserved) == fault::bad);
    CHECK(with(*data, uintptr_t{1} << 5) == fault::bad); // protection keys
    const uintptr_t guard = to_address(*data) + page_size;
    CHECK(touch(large, space, guard) == fault::bad);
    CHECK(touch(large, space, large.begin()) == fault::bad);
    CHECK(touch(large, space, large.begin() - 1) == fault::not_here);
    CHECK(touch(large, space, large.end()) == fault::not_here);
}

TEST_CASE("a permission that was added resolves a fault from before") {
    const kernel k;
    const uint64_t space = make_prepared_space(k);
    const auto made = vmalloc(large, page_size, permission::read_only);
    REQUIRE(set_permission(large, *made, permission::read_write));
    CHECK(touch(large, space, to_address(*made), error_bit::present | error_bit::write) ==
          fault::resolved);
}

TEST_CASE("tables of its own hold what is not the area's, and are given back") {
    const kernel k;
    const size_t before = pages_in_use();
    const uint64_t space = k.make_space();
    const unsigned own_tables = format.levels - small.shared_level();
    CHECK(add_to(space, small).value_or(99) == own_tables);
    CHECK(add_to(space, beside).value_or(99) == 0); // in the same tables
    CHECK(add_to(space, large).value_or(99) == 0);
    const auto directory = table_at(space, other_address, 2);
    REQUIRE(directory);
    CHECK(raw_entry(*directory, index_at(other_address, 2)) == kernel::large_page);
    CHECK(*table_at(space, small.begin(), 2) != *table_at(k.top, small.begin(), 2));
    const auto made = vmalloc(small, page_size, permission::read_write);
    CHECK(!leaf_at(space, to_address(*made)));
    CHECK(touch(small, space, to_address(*made)) == fault::resolved);
    // As if it had never faulted.
    REQUIRE(add_to(space, small));
    CHECK(!leaf_at(space, to_address(*made)));
    CHECK(remove_from(space, small).value_or(99) == own_tables);
    CHECK(remove_from(space, beside).value_or(99) == 0);
    REQUIRE(vfree(small, *made));
    CHECK(pages_in_use() - before <= 2); // its top table, and the page table of the mapping
}

TEST_CASE("no memory for an address space's tables") {
    const kernel k;
    if (format.levels == small.shared_level())
        return; // it needs none
    const uint64_t space = k.make_space();
    const size_t before = pages_in_use();
    for (size_t left = 0; left < format.levels - small.shared_level(); ++left) {
        nmisafe_platform::memory.left = left;
        CHECK(add_to(space, small).error() == vmalloc_error::no_memory);
        CHECK(remove_from(space, small));
        CHECK(pages_in_use() == before);
    }
}

TEST_CASE("an address space that was not prepared is not mended") {
    const kernel k;
    const auto made = vmalloc(small, page_size, permission::read_write);
    REQUIRE(made);
    const uint64_t bare = nmisafe_platform::memory.allocate(); // nothing in it
    if (format.levels != small.shared_level())
        CHECK(touch(small, bare, to_address(*made)) == fault::bad);
}

TEST_CASE("address spaces are not prepared where nobody may wait for other CPUs") {
    const kernel k;
    const uint64_t space = k.make_space();
    const auto all_say = [&](vmalloc_error why) {
        CHECK(set_up(small).error() == why);
        CHECK(add_to(space, small).error() == why);
        CHECK(remove_from(space, small).error() == why);
        CHECK(vmalloc_sync_mappings(small).error() == why);
    };
    nmisafe_platform::can_synchronise = false;
    all_say(vmalloc_error::cannot_synchronise);
    nmisafe_platform::cpu.nmi_in_progress = 1;
    all_say(vmalloc_error::in_nmi);
}

TEST_CASE("a large page in the way is not taken for a table") {
    const kernel k;
    const uint64_t directory = *table_at(k.top, small.begin(), 2);
    const uint64_t page = nmisafe_platform::memory.allocate();
    set_raw_entry(directory, index_at(small.begin(), 2), page | 0x83);
    const area only(small.begin(), small.begin() + 16 * page_size, 2);
    CHECK(vmalloc(only, page_size, permission::read_write).error() == vmalloc_error::large_page);
    CHECK(raw_entry(page, 0) == 0);
    CHECK(raw_entry(page, 1) == 0);
    CHECK(touch(small, k.top, small.begin() + page_size) == fault::bad);
}

TEST_CASE("vmalloc_sync_mappings() leaves no fault to be taken") {
    const kernel k;
    uint64_t spaces[3];
    for (uint64_t& space : spaces)
        space = make_prepared_space(k);
    const size_t size = entry_covers(small) + page_size;
    const auto made = vmalloc(small, size, permission::read_write);
    REQUIRE(made);
    const size_t entries = (to_address(*made) + size - 1) / entry_covers(small) -
                           to_address(*made) / entry_covers(small) + 1;
    CHECK(vmalloc_sync_mappings(small).value_or(99) == entries * 3);
    CHECK(vmalloc_sync_mappings(small).value_or(99) == 0);
    for (const uint64_t space : spaces)
        for (size_t offset = 0; offset < size; offset += page_size)
            REQUIRE(leaf_at(space, to_address(*made) + offset));
}

} // namespace nmisafe::vmalloc::test
