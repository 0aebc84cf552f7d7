// SPDX-License-Identifier: MIT
// Whether a batch may be applied.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::text_patch::internal {

inline constexpr patch_error no_error{};

/// Sorts the batch, checks all of it, and works out what the breakpoint handler needs. Nobody
/// patches meanwhile. @context thread
patch_error check(patch* patches, size_t count);

} // namespace nmisafe::text_patch::internal
