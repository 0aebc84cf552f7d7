// SPDX-License-Identifier: MIT
// Mappings are made, changed and torn down; the tables are read by a walk of the test's own.
#include "nmisafe/vmalloc/fixture_test.hpp"

#include <doctest/doctest.h>
#include <set>

namespace nmisafe::vmalloc::test {

namespace {

namespace entry = x86::page_entry;

bool is_zeroed(uint64_t page) {
    const auto* bytes = static_cast<const uint8_t*>(nmisafe_platform::memory.at(page));
    return std::all_of(bytes, bytes + page_size, [](uint8_t byte) { return byte == 0; });
}

} // namespace

TEST_CASE("vmalloc() maps zeroed pages of its own, between unmapped ones") {
    const kernel k;
    for (const area* where : {&large, &small}) {
        const auto made = vmalloc(*where, 2 * page_size + 1, permission::read_write);
        REQUIRE(made);
        const uintptr_t begin = to_address(*made);
        CHECK(where->contains(begin));
        CHECK(begin % page_size == 0);
        CHECK(begin > where->begin());
        std::set<uint64_t> pages;
        for (unsigned i = 0; i < 3; ++i) {
            const auto leaf = leaf_at(k.top, begin + i * page_size);
            REQUIRE(leaf);
            CHECK(is_zeroed(*leaf & entry::address));
            CHECK(physical_address(*where, begin + i * page_size + 5) ==
                  (*leaf & entry::address) + 5);
            pages.insert(*leaf & entry::address);
        }
        CHECK(pages.size() == 3);
        CHECK(!leaf_at(k.top, begin - page_size));
        CHECK(!leaf_at(k.top, begin + 3 * page_size));
        CHECK(physical_address(*where, begin + 3 * page_size) == 0);
    }
    CHECK(nmisafe_platform::flushes.empty()); // nothing that was there has changed
    CHECK(nmisafe_platform::mapping_lock == 0);
}

TEST_CASE("mappings are apart, and gaps are used again") {
    const kernel k;
    uintptr_t begins[4];
    for (uintptr_t& begin : begins)
        begin = to_address(*vmalloc(large, 3 * page_size, permission::read_write));
    for (unsigned i = 1; i < 4; ++i)
        CHECK(begins[i] == begins[i - 1] + 4 * page_size);
    REQUIRE(vfree(large, reinterpret_cast<void*>(begins[1])));
    const auto too_large = vmalloc(large, 4 * page_size, permission::read_write);
    CHECK(to_address(*too_large) == begins[3] + 4 * page_size);
    const auto fits = vmalloc(large, 3 * page_size, permission::read_write);
    CHECK(to_address(*fits) == begins[1]);
    static_cast<void>(k);
}

TEST_CASE("what may be done with a mapping") {
    const kernel k;
    struct {
        permission may;
        bool writable;
        bool executable;
    } const cases[] = {{permission::read_only, false, false},
                       {permission::read_write, true, false},
                       {permission::execute, false, true}};
    for (const bool no_execute : {true, false}) {
        nmisafe_platform::no_execute = no_execute;
        for (const auto& from : cases) {
            const auto made = vmalloc(large, page_size, from.may);
            REQUIRE(made);
            for (const auto& to : cases) {
                // What other CPUs may do while the change is under way: no more than before and
                // after.
                const uint64_t before = *leaf_at(k.top, to_address(*made));
                nmisafe_platform::during_flush = [&] {
                    const uint64_t now = *leaf_at(k.top, to_address(*made));
                    CHECK((now & entry::writable & ~before) == 0);
                    CHECK((!to.writable || (before & entry::writable) == 0 ||
                           (now & entry::writable) != 0));
                    if (format.entry_size == 8 && no_execute)
                        CHECK(((now & entry::no_execute) != 0 ||
                               ((before & entry::no_execute) == 0 && to.executable)));
                };
                REQUIRE(set_permission(large, *made, to.may).value_or(0) == page_size);
                nmisafe_platform::during_flush = nullptr;
                const uint64_t leaf = *leaf_at(k.top, to_address(*made));
                CHECK(((leaf & entry::writable) != 0) == to.writable);
                if (format.entry_size == 8)
                    CHECK(((leaf & entry::no_execute) != 0) == (!to.executable && no_execute));
                CHECK((leaf & entry::user) == 0);
                CHECK(nmisafe_platform::flushes.back().begin == to_address(*made));
                CHECK(nmisafe_platform::flushes.back().end == to_address(*made) + page_size);
            }
        }
    }
}

TEST_CASE("a mapping is gone from the tables before TLBs are flushed, its pages only afterwards") {
    const kernel k;
    const auto made = vmalloc(large, 3 * page_size, permission::read_write);
    REQUIRE(made);
    const size_t before = pages_in_use();
    unsigned flushed = 0;
    nmisafe_platform::during_flush = [&] {
        ++flushed;
        for (unsigned i = 0; i < 3; ++i)
            CHECK(!leaf_at(k.top, to_address(*made) + i * page_size));
        CHECK(pages_in_use() == before);
        CHECK(nmisafe_platform::mapping_lock == 1);
    };
    CHECK(vfree(large, *made).value_or(0) == 3 * page_size);
    CHECK(flushed == 1);
    CHECK(pages_in_use() == before - 3);
    CHECK(nmisafe_platform::mapping_lock == 0);
    CHECK(vfree(large, *made).error() == vmalloc_error::not_mapped);
}

TEST_CASE("vmap() shows the caller's pages, and vunmap() leaves them") {
    const kernel k;
    const uint64_t pages[] = {nmisafe_platform::memory.allocate(),
                              nmisafe_platform::memory.allocate()};
    const uint64_t twice[] = {pages[1], pages[0], pages[1]};
    const auto made = vmap(large, twice, 3, permission::read_only);
    REQUIRE(made);
    for (unsigned i = 0; i < 3; ++i)
        CHECK((*leaf_at(k.top, to_address(*made) + i * page_size) & entry::address) == twice[i]);
    const size_t before = pages_in_use();
    CHECK(vunmap(large, *made).value_or(0) == 3 * page_size);
    CHECK(pages_in_use() == before);
    const uint64_t odd[] = {pages[0] + 8};
    CHECK(vmap(large, odd, 1, permission::read_only).error() == vmalloc_error::bad_page);
    if (format.entry_size == 4) {
        const uint64_t beyond[] = {0x100005000};
        CHECK(vmap(large, beyond, 1, permission::read_only).error() == vmalloc_error::bad_page);
    }
}

TEST_CASE("only what begins there, and was made by the same function, is torn down") {
    const kernel k;
    const auto memory = vmalloc(large, 3 * page_size, permission::read_write);
    const uint64_t page = nmisafe_platform::memory.allocate();
    const auto view = vmap(large, &page, 1, permission::read_write);
    REQUIRE((memory && view));
    auto* const bytes = static_cast<uint8_t*>(*memory);
    for (const void* wrong :
         {static_cast<const void*>(bytes + page_size), static_cast<const void*>(bytes + 1),
          static_cast<const void*>(bytes + 3 * page_size), static_cast<const void*>(*view),
          static_cast<const void*>(nullptr), reinterpret_cast<const void*>(other_address)})
        CHECK(vfree(large, wrong).error() == vmalloc_error::not_mapped);
    CHECK(vunmap(large, *memory).error() == vmalloc_error::not_mapped);
    CHECK(vfree(small, *memory).error() == vmalloc_error::not_mapped);
    CHECK(set_permission(large, bytes + page_size, permission::execute).error() ==
          vmalloc_error::not_mapped);
    CHECK(nmisafe_platform::flushes.empty());
    CHECK(vfree(large, *memory));
    CHECK(vunmap(large, *view));
}

TEST_CASE("without memory nothing is mapped, whichever page is the one that lacks") {
    constexpr size_t pages = 3;
    for (size_t available = 0;; ++available) {
        const kernel k;
        const size_t before = pages_in_use();
        nmisafe_platform::memory.left = available;
        const auto made = vmalloc(small, pages * page_size, permission::read_write);
        if (made) {
            CHECK(available >= pages);
            break;
        }
        CHECK(made.error() == vmalloc_error::no_memory);
        CHECK(!leaf_at(k.top, small.begin() + page_size));
        CHECK(pages_in_use() - before <= format.levels - 1); // tables made on the way
        CHECK(nmisafe_platform::mapping_lock == 0);
        nmisafe_platform::memory.left = 100;
        CHECK(vmalloc(small, pages * page_size, permission::read_write));
    }
}

TEST_CASE("an area is full when no gap is large enough") {
    const kernel k;
    const uintptr_t begin = large.begin() + 16 * page_size;
    const area tiny(begin, begin + 8 * page_size, large.shared_level());
    CHECK(vmalloc(tiny, 0, permission::read_write).error() == vmalloc_error::bad_size);
    CHECK(vmalloc(tiny, 8 * page_size + 1, permission::read_write).error() ==
          vmalloc_error::bad_size);
    CHECK(vmalloc(tiny, 7 * page_size, permission::read_write).error() == vmalloc_error::no_space);
    const auto all = vmalloc(tiny, 6 * page_size, permission::read_write);
    REQUIRE(all);
    CHECK(vmalloc(tiny, 1, permission::read_write).error() == vmalloc_error::no_space);
    REQUIRE(vfree(tiny, *all));
    CHECK(vmalloc(tiny, 1, permission::read_write));
    static_cast<void>(k);
}

TEST_CASE("nothing is done where nobody may wait for other CPUs") {
    const kernel k;
    const auto made = vmalloc(large, 1, permission::read_write);
    REQUIRE(made);
    const uint64_t page = nmisafe_platform::memory.allocate();
    const auto all_say = [&](vmalloc_error why) {
        CHECK(vmalloc(large, 1, permission::read_write).error() == why);
        CHECK(vmap(large, &page, 1, permission::read_write).error() == why);
        CHECK(vfree(large, *made).error() == why);
        CHECK(vunmap(large, *made).error() == why);
        CHECK(set_permission(large, *made, permission::execute).error() == why);
    };
    nmisafe_platform::can_synchronise = false;
    all_say(vmalloc_error::cannot_synchronise);
    nmisafe_platform::cpu.nmi_in_progress = 1;
    all_say(vmalloc_error::in_nmi);
    CHECK(leaf_at(k.top, to_address(*made)));
}

TEST_CASE("a mapping may lie in several tables") {
    const kernel k;
    const size_t table_covers = page_size << format.index_bits;
    const size_t size = 2 * table_covers + 3 * page_size;
    const auto made = vmalloc(small, size, permission::read_only);
    REQUIRE(made);
    for (size_t offset = 0; offset < size; offset += page_size)
        REQUIRE(leaf_at(k.top, to_address(*made) + offset));
    CHECK(!leaf_at(k.top, to_address(*made) + size));
    const size_t before = pages_in_use();
    CHECK(vfree(small, *made).value_or(0) == size);
    CHECK(pages_in_use() == before - size / page_size); // the tables stay
}

} // namespace nmisafe::vmalloc::test
