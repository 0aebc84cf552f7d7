// SPDX-License-Identifier: MIT
// How an exported symbol is recorded: by the compiler, which knows the symbol's name, in the body
// of a function, because only there an asm may have operands.
//
// The entry's section has the flag R, so it is kept by --gc-sections (ld and lld) although nobody
// refers to it, and with it the symbol and the name. The function itself may go.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/symbol_operand.hpp"

namespace nmisafe::module_loader::internal {

// volatile: without outputs it would be so anyway. %= is unique for each copy of the asm.
template <auto& Symbol>
[[gnu::always_inline]] inline void record_export() {
    asm volatile(".pushsection nmisafe_exported_names, \"a\", @progbits\n"
                 ".Lnmisafe_exported_name%=:\n\t"
                 ".asciz \"" NMISAFE_SYMBOL "[symbol]\"\n\t"
                 ".popsection\n\t"
                 ".pushsection nmisafe_exported_symbols, \"aR\", @progbits\n\t"
                 ".balign 4\n\t"
                 ".long " NMISAFE_SYMBOL "[symbol] - .\n\t"
                 ".long .Lnmisafe_exported_name%= - .\n\t"
                 ".popsection"
                 :
                 : [symbol] NMISAFE_SYMBOL_CONSTRAINT(&Symbol));
}

} // namespace nmisafe::module_loader::internal
