// SPDX-License-Identifier: MIT
#include "nmisafe/profiler/guarded_load.hpp"

#include "nmisafe/base/trap_text.hpp"

extern "C" const char nmisafe_profiler_load_access[], nmisafe_profiler_load_failed[];

namespace nmisafe::profiler {

[[NMISAFE_TRAP_TEXT, gnu::used]] bool handle_fault(x86::trap_frame& frame) {
    if (frame.ip != reinterpret_cast<uintptr_t>(nmisafe_profiler_load_access))
        return false;
    frame.ip = reinterpret_cast<uintptr_t>(nmisafe_profiler_load_failed);
    return true;
}

} // namespace nmisafe::profiler
