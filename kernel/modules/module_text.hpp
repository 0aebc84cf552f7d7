// SPDX-License-Identifier: MIT
// What of the modules is code: asked by breakpoint handlers.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace kernel {

namespace internal {
extern uint32_t live_modules;
bool is_module_text(uintptr_t begin, uintptr_t end);
bool is_module_no_probe(uintptr_t begin, uintptr_t end);

[[NMISAFE_TRAP_INLINE]] inline bool has_modules() {
    return __atomic_load_n(&live_modules, __ATOMIC_ACQUIRE) != 0;
}
} // namespace internal

/// Whether all of [begin, end) is code of one live module, and whether any of it must not be
/// probed. They look at resident words only. @context any
[[NMISAFE_TRAP_INLINE]] inline bool is_module_text(uintptr_t begin, uintptr_t end) {
    return internal::has_modules() && internal::is_module_text(begin, end);
}
[[NMISAFE_TRAP_INLINE]] inline bool is_module_no_probe(uintptr_t begin, uintptr_t end) {
    return internal::has_modules() && internal::is_module_no_probe(begin, end);
}

} // namespace kernel
