// SPDX-License-Identifier: MIT
#include "kernel/experiments/modules/module_remains.hpp"

#include "kernel/console/console.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/panic/test_exit.hpp"
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

void end_at_use_of_remains(const x86::trap_frame& frame, uintptr_t address, const char* path) {
    static uint32_t ended;
    if (handle_lazy_fault(frame, address) != vmalloc::fault::bad)
        return;
    if (__atomic_exchange_n(&ended, 1, __ATOMIC_RELAXED) != 0)
        while (true) // another CPU has come back too
            asm volatile("cli\n\thlt");
    fail("what has gone with a module is used", 0, frame.ip);
    print("@row path=", path, " boundaries=", uint32_t{scene.count.boundaries},
          " nmis_raised=1 nmis_handled=1 nested=0 lost=0 corrupted=0 unsafe_irets=0 failures=",
          uint32_t{scene.count.failures}, "\n@done\n");
    finish(true);
}

} // namespace kernel
