// SPDX-License-Identifier: MIT
// The breakpoint handler. It stands in the no-probe section, and all it calls is inlined into it:
// an INT3 in here would never come to an end.
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/text_patch/internal/batch.hpp"
#include "nmisafe/text_patch/internal/emulate.hpp"
#include "nmisafe/text_patch/internal/simple_instruction.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::text_patch {

namespace internal {
constinit active_batch active{};
}

namespace {

using platform::contract;

/// The patch at an address. The batch has been checked: sorted, without overlaps.
[[NMISAFE_TRAP_INLINE]] inline const patch* find(const patch* patches, size_t count,
                                                 uintptr_t address) {
    while (count != 0) {
        const size_t half = count / 2;
        if (patches[half].address == address)
            return &patches[half];
        if (patches[half].address < address) {
            patches += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return nullptr;
}

/// Stands in for one side of a patch. False if that side is a probe's INT3, or what it stands on.
[[NMISAFE_TRAP_INLINE]] inline bool stand_in(x86::trap_frame& frame, const patch& site,
                                             bool switched) {
    const simple_instruction instruction =
        recognise(switched ? site.after : site.before, site.size);
    if (instruction.what == form::unknown)
        return false;
    emulate(frame, site.address, instruction, switched ? site.stub_after : site.stub_before);
    return true;
}

/// Looks the breakpoint up in the batch that is being applied, if there is one.
///
/// Which instruction is right does not depend on the bytes at the site, but on `switched` alone: it
/// changes while every site holds an INT3 that every CPU sees, so no CPU can have executed an
/// instruction of after while it is 0, nor execute one of before when it is 1 (but for a CALL that
/// a stub has yet to execute: see apply()). The INT3 may also be an older one, hit before an
/// earlier apply() removed it, with this handler late; then the instruction before is that
/// apply()'s result, and right too.
[[NMISAFE_TRAP_INLINE]] inline bool handle_in_batch(x86::trap_frame& frame, uintptr_t address) {
    internal::active_batch& active = internal::active;
    if (__atomic_load_n(&active.patches, __ATOMIC_ACQUIRE) == nullptr)
        return false; // the common case of a probe: no shared word is written
    bool handled = false;
    __atomic_fetch_add(&active.readers, 1, __ATOMIC_SEQ_CST);
    const patch* const patches = __atomic_load_n(&active.patches, __ATOMIC_SEQ_CST);
    if (patches != nullptr) {
        const patch* const site = find(patches, active.count, address);
        if (site != nullptr)
            handled =
                stand_in(frame, *site, __atomic_load_n(&active.switched, __ATOMIC_ACQUIRE) != 0);
    }
    __atomic_fetch_sub(&active.readers, 1, __ATOMIC_RELEASE);
    return handled;
}

} // namespace

[[NMISAFE_TRAP_TEXT, gnu::used]] bool handle_breakpoint(x86::trap_frame& frame) {
    const uintptr_t address = frame.ip - 1; // #BP is a trap: the frame is behind the INT3
    const uint32_t batches = __atomic_load_n(&internal::active.batches, __ATOMIC_ACQUIRE);
    if (handle_in_batch(frame, address))
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
    frame.ip = address;
    return true;
}

} // namespace nmisafe::text_patch
