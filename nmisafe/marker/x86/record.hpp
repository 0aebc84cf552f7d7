// SPDX-License-Identifier: MIT
// How a marker comes into the table of markers.
//
// The entry stands in the function that calls the marker's probes, one for all statements of that
// marker. `?` and `o` in the section's flags are explained in nmisafe/immediate/x86/record.hpp: the
// entry is in the function's COMDAT group, so one of them is linked, and it lives and dies with it.
// An attribute on the descriptor would not do: g++ ignores [[gnu::section]] on what belongs to a
// template.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/symbol_operand.hpp"

namespace nmisafe::marker::internal {

/// No instruction. The entry is self-relative, so it needs no relocation wherever the program is
/// loaded.
template <auto& Marker>
[[gnu::always_inline]] inline void record() {
    asm volatile(".Lnmisafe_marker%=:\n\t"
                 ".pushsection nmisafe_markers, \"ao?\", @progbits, .Lnmisafe_marker%=\n\t"
                 ".balign 4\n\t"
                 ".long " NMISAFE_SYMBOL "[marker] - .\n\t"
                 ".popsection"
                 :
                 : [marker] NMISAFE_SYMBOL_CONSTRAINT(&Marker));
}

} // namespace nmisafe::marker::internal
