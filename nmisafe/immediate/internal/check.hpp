// SPDX-License-Identifier: MIT
// Whether what wants to join is a table of sites.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/immediate/join.hpp"

namespace nmisafe::immediate::internal {

/// 0 if all of it can be relied on: then each site is code of this range that reads its key, and
/// may be patched. Reads what lies in the range's memory, nothing else, and writes nothing. There
/// is a batch. @context thread
join_error check(const site_range& range);

} // namespace nmisafe::immediate::internal
