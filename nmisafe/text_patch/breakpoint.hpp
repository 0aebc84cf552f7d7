// SPDX-License-Identifier: MIT
/// The part of handle_breakpoint() that is executed most: a hit on a site that is being patched.
/// For who has a short way from #BP to here and back, as nmisafe/trap/breakpoint_dispatch.hpp gives
/// one: it is inlined there.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/frame.hpp"
#include "nmisafe/text_patch/internal/batch.hpp"
#include "nmisafe/text_patch/internal/emulate.hpp"

namespace nmisafe::text_patch {

namespace internal {

/// The patch at an address: the batch is its own hash table.
[[NMISAFE_TRAP_INLINE]] inline const patch* find(const patch* patches, size_t count,
                                                 uintptr_t address) {
    const patch* one = patches[internal::chain_of(address, count)].internal.first;
    while (one != nullptr && one->address != address)
        one = one->internal.next;
    return one;
}

} // namespace internal

/// Looks the breakpoint up in the batch that is being applied, if there is one.
///
/// Which instruction is right does not depend on the bytes at the site, but on `switched` alone: it
/// changes while every site holds an INT3 that every CPU sees, so no CPU can have executed an
/// instruction of after while it is 0, nor execute one of before when it is 1 (but for a CALL that
/// a stub has yet to execute: see apply()). The INT3 may also be an older one, hit before an
/// earlier apply() removed it, with this handler late; then the instruction before is that
/// apply()'s result, and right too.
///
/// False: the breakpoint is not of a batch, and handle_breakpoint() is to say whose. Changes IP and
/// at most one general register of the frame.
/// @context any, as handle_breakpoint(), in code that is not to be patched
[[NMISAFE_TRAP_INLINE]] inline bool handle_in_batch(platform::frame& frame) {
    const uintptr_t address =
        platform::ip_of(frame) - 1; // #BP is a trap: the frame is behind the INT3
    internal::active_batch& active = internal::active;
    if (__atomic_load_n(&active.patches, __ATOMIC_ACQUIRE) == nullptr)
        return false; // the common case of a probe: no shared word is written
    bool handled = false;
    __atomic_fetch_add(&active.readers, 1, __ATOMIC_SEQ_CST);
    const patch* const patches = __atomic_load_n(&active.patches, __ATOMIC_SEQ_CST);
    if (patches != nullptr) {
        const patch* const site = internal::find(patches, active.count, address);
        if (site != nullptr)
            handled = internal::emulate(frame, site->internal,
                                        __atomic_load_n(&active.switched, __ATOMIC_ACQUIRE),
                                        address + site->size);
    }
    __atomic_fetch_sub(&active.readers, 1, __ATOMIC_RELEASE);
    return handled;
}

} // namespace nmisafe::text_patch
