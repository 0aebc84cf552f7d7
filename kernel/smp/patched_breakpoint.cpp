// SPDX-License-Identifier: MIT
#include "kernel/smp/patched_breakpoint.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/text_patch/breakpoint.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/trap/breakpoint_dispatch.hpp"

namespace kernel {

/// Not to be patched or probed itself.
[[NMISAFE_TRAP_TEXT]] bool on_patched_breakpoint(nmisafe::x86::trap_frame& frame) {
    return nmisafe::text_patch::handle_breakpoint(frame) ||
           nmisafe::kprobe::handle_breakpoint(frame);
}

[[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
dispatch_patched_breakpoint(nmisafe::x86::trap_frame* frame) {
    using namespace nmisafe;
    return text_patch::handle_in_batch(*frame) ? trap::plan_breakpoint_return(*frame)
                                               : trap::nmisafe_trap_dispatch(frame);
}

} // namespace kernel
