// SPDX-License-Identifier: MIT
// The breakpoint handler. It stands in the no-probe section, and all it calls is inlined into it:
// an INT3 in here would never come to an end.
#include "nmisafe/text_patch/breakpoint.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::text_patch {

namespace internal {
constinit active_batch active{};
}

using platform::contract;

[[NMISAFE_TRAP_TEXT, gnu::used]] bool handle_breakpoint(platform::frame& frame) {
    const uintptr_t address =
        platform::ip_of(frame) - 1; // #BP is a trap: the frame is behind the INT3
    const uint32_t batches = __atomic_load_n(&internal::active.batches, __ATOMIC_ACQUIRE);
    if (handle_in_batch(frame))
        return true;
    // No batch has it, so the INT3 may have gone since this CPU executed it. Then there is no need
    // to know who put it there: what stands there now is what this CPU is to execute.
    if (!contract::is_text(address, address + 1))
        return false;
    uint8_t byte = 0;
    contract::read_text(address, &byte, 1);
    // An INT3 of a batch that has come since the look above is not foreign either. Whether it has
    // it is for the next trap to see, if there is one.
    if (byte == breakpoint &&
        __atomic_load_n(&internal::active.batches, __ATOMIC_ACQUIRE) == batches)
        return false;
    platform::ip_of(frame) = address;
    return true;
}

} // namespace nmisafe::text_patch
