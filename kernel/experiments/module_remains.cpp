// SPDX-License-Identifier: MIT
#include "kernel/experiments/module_remains.hpp"

#include "kernel/core/pages.hpp"
#include "kernel/experiments/scene.hpp"
#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/marker/marker.hpp"

namespace kernel {

using namespace nmisafe;

module_remains look_for_remains() {
    size_t markers = 0;
    const marker::all_markers all;
    for (auto one = all.begin(); one != all.end(); ++one)
        ++markers;
    return {pages_in_use(), immediate::site_count(), markers};
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
