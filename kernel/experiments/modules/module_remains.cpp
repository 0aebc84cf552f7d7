// SPDX-License-Identifier: MIT
#include "kernel/experiments/modules/module_remains.hpp"

#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/memory/pages.hpp"
#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/marker/marker.hpp"

namespace kernel {

using namespace nmisafe;

namespace {

/// Page tables of the modules' areas: those stay.
uintptr_t count_tables() {
    constexpr uintptr_t table_covers = page_size << x86::format_of(paging).index_bits;
    uintptr_t tables = 0;
    for (const auto* area : {&module_code_area, &module_constants_area, &module_data_area})
        for (uintptr_t at = area->begin(); at < area->end(); at += table_covers)
            tables += find_entry(kernel_space(), at) != nullptr;
    return tables;
}

} // namespace

module_remains look_for_remains() {
    size_t markers = 0;
    const marker::all_markers all;
    for (auto one = all.begin(); one != all.end(); ++one)
        ++markers;
    return {pages_in_use() - count_tables(), immediate::site_count(), markers};
}

void expect_nothing_left(const module_remains& before) {
    const module_remains after = look_for_remains();
    if (after.pages != before.pages)
        fail("pages in use", before.pages, after.pages);
    if (after.sites != before.sites)
        fail("sites", before.sites, after.sites);
    if (after.markers != before.markers)
        fail("markers", before.markers, after.markers);
}

} // namespace kernel
