// SPDX-License-Identifier: MIT
// How a marker comes into the table of markers.
//
// The entry stands in the function that calls the marker's probes, one for all statements of that
// marker. `?` and `o` in the section's flags are explained in nmisafe/immediate/x86/record.hpp: the
// entry is in the function's COMDAT group, so one of them is linked, and it lives and dies with it.
// An attribute on the descriptor would not do: g++ ignores [[gnu::section]] on what belongs to a
// template.
#pragma once

#include "nmisafe/base/site_record.h"
#include "nmisafe/base/std.hpp"

namespace nmisafe::marker::internal {

/// No instruction. The entry is self-relative, so it needs no relocation wherever the program is
/// loaded.
template <auto& Marker>
[[gnu::always_inline]] inline void record() {
    asm volatile(".Lnmisafe_marker%=:\n\t" //
                 NMISAFE_MARKER_ENTRY("ao?", NMISAFE_SYMBOL "[marker]", ".Lnmisafe_marker%=")
                 :
                 : [marker] NMISAFE_SYMBOL_CONSTRAINT(&Marker));
}

} // namespace nmisafe::marker::internal
