// SPDX-License-Identifier: MIT
// The batch that is being applied, as apply() and the breakpoint handler share it.
//
//   who writes           what                  who reads
//   apply(), one at a    patches, count,       handlers, on any CPU, between their two changes of
//   time                 switched              `readers`
//   handlers             readers               apply(), before the batch is its caller's again
//
// A handler counts itself in `readers`, then reads `patches`; apply() clears `patches`, then waits
// for `readers` to be 0. Both orders are sequentially consistent: so either the handler sees null,
// or apply() sees the handler. A handler never waits, in whatever context it is, so apply() waits
// for nobody who waits for it (I29).
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::text_patch::internal {

struct active_batch {
    const patch* patches; ///< Checked and prepared; null while there is no batch.
    size_t count;
    uint32_t switched; ///< 0: a hit emulates the instruction before, 1: the one after.
    uint32_t readers;  ///< Handlers that may be reading the batch.
    uint32_t batches;  ///< How many there have been: changes between a batch's publication and its
                       ///< first INT3.
};

extern active_batch active;

} // namespace nmisafe::text_patch::internal
