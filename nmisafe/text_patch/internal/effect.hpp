// SPDX-License-Identifier: MIT
// What a patch carries for the breakpoint handler. Worked out once, when the batch is checked, so
// that a hit decodes nothing.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace nmisafe::text_patch {
struct patch;
}

namespace nmisafe::text_patch::internal {

/// What standing in for an instruction does to a frame. `word` and `detail` are of `prepared`.
enum class effect : uint8_t {
    none = 0,       ///< Nobody may stand in: a probe's INT3, or what it stands on.
    go,             ///< IP = word: NOP, JMP, and CALL by way of its stub.
    load,           ///< The register at `detail` = word; IP = what follows.
    go_if,          ///< IP = word if condition `detail` holds, else what follows.
    load_word,      ///< As load, of the low 2 bytes.
    load_low_byte,  ///< As load, of the low byte.
    load_high_byte, ///< As load, of the second byte; `word` is shifted to it.
};

/// Of apply(), for as long as it is at work. [0]: of the instruction before, [1]: of the one after.
struct prepared {
    const patch* first; ///< The first patch of the chain that has this patch's number in the batch.
    const patch* next;  ///< The next in the chain that this patch is in.
    uintptr_t word[2];
    effect what[2];
    uint8_t detail[2]; ///< A condition, or the offset of a register's word in the frame.
};

/// The number of the chain that an address is in: below `count`, which is at most 32 bits wide. By
/// multiplication, so that the neighbours that sites often are come into different ones.
[[NMISAFE_TRAP_INLINE]] constexpr size_t chain_of(uintptr_t address, size_t count) {
    constexpr uint32_t golden_ratio = 0x9e3779b1; // of 2^32, and odd
    const uint32_t hash = static_cast<uint32_t>(address) * golden_ratio;
    return static_cast<size_t>(uint64_t{hash} * static_cast<uint32_t>(count) >> 32);
}

} // namespace nmisafe::text_patch::internal
