// SPDX-License-Identifier: MIT
#include "kernel/experiments/shared/patched_breakpoint.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

namespace kernel {

/// Not to be patched or probed itself.
[[NMISAFE_TRAP_TEXT]] bool on_patched_breakpoint(nmisafe::x86::trap_frame& frame) {
    return nmisafe::text_patch::handle_breakpoint(frame) ||
           nmisafe::kprobe::handle_breakpoint(frame);
}

} // namespace kernel
