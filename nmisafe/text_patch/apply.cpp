// SPDX-License-Identifier: MIT
// Takes all sites of a batch through INT3.
//
//   step                        a CPU that executes a site sees
//   1  INT3 on first bytes      the instruction before, or INT3
//      synchronise              INT3
//   2  tails                    INT3
//      synchronise              INT3, and behind it the tail after
//   3  switched = 1             INT3; from this store on it stands for the instruction after
//   4  first bytes              INT3, or the instruction after
//      synchronise              the instruction after
//
// A CPU may fetch an instruction byte by byte, each byte as old as its last serializing
// instruction: so no step changes bytes that a CPU may fetch together with others of another age,
// and a synchronisation stands between any two. [intel/vol3 8.1.3]
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/platform/waiting.hpp"
#include "nmisafe/text_patch/internal/batch.hpp"
#include "nmisafe/text_patch/internal/check.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/registers.hpp"

namespace nmisafe::text_patch {

static_assert(platform::check_text_contract<platform::contract>());

namespace {

using base::expected;
using base::unexpected;
using internal::no_error;
using platform::contract;
using platform::waiting;

uint32_t busy; // an apply() is at work

bool write_breakpoints(const patch* patches, size_t count) {
    bool wrote = false;
    for (size_t i = 0; i < count; ++i) {
        if (patches[i].before[0] == breakpoint)
            continue;
        contract::write_text(patches[i].address, &breakpoint, 1);
        wrote = true;
    }
    return wrote;
}

bool write_tails(const patch* patches, size_t count) {
    bool wrote = false;
    for (size_t i = 0; i < count; ++i) {
        if (patches[i].size == 1)
            continue;
        contract::write_text(patches[i].address + 1, patches[i].after + 1,
                             size_t{patches[i].size} - 1);
        wrote = true;
    }
    return wrote;
}

bool write_first_bytes(const patch* patches, size_t count) {
    bool wrote = false;
    for (size_t i = 0; i < count; ++i) {
        if (patches[i].after[0] == breakpoint)
            continue;
        contract::write_text(patches[i].address, patches[i].after, 1);
        wrote = true;
    }
    return wrote;
}

void publish(const patch* patches, size_t count) {
    internal::active.count = count;
    internal::active.switched = 0;
    __atomic_store_n(&internal::active.patches, patches, __ATOMIC_RELEASE);
    // Last: a late handler that sees the count sees the batch too, and else it looks again.
    __atomic_fetch_add(&internal::active.batches, 1, __ATOMIC_SEQ_CST);
}

/// Handlers from here on see no batch. They find the instruction after at the site and let the CPU
/// execute it.
void unpublish() {
    __atomic_store_n(&internal::active.patches, nullptr, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&internal::active.readers, __ATOMIC_SEQ_CST) != 0)
        x86::pause();
}

/// On some emulators a CPU that is translating code while it is written keeps what it has
/// translated for good. Once all CPUs have synchronised, no such translation is under way any more;
/// writing the same bytes again then discards those there are. Tails need no such thing: nobody
/// translates what lies behind an INT3.
void write_again(bool (*step)(const patch*, size_t), const patch* patches, size_t count) {
    if constexpr (platform::writes_text_twice<contract>)
        step(patches, count);
}

/// A step that writes nothing needs no synchronisation: a batch of probes costs one.
void write(const patch* patches, size_t count) {
    publish(patches, count);
    if (write_breakpoints(patches, count)) {
        contract::synchronise_cpus();
        write_again(write_breakpoints, patches, count);
    }
    if (write_tails(patches, count))
        contract::synchronise_cpus();
    __atomic_store_n(&internal::active.switched, 1, __ATOMIC_RELEASE);
    if (write_first_bytes(patches, count)) {
        contract::synchronise_cpus();
        write_again(write_first_bytes, patches, count);
    }
    unpublish();
}

} // namespace

expected<size_t, patch_error> apply(patch* patches, size_t count) {
    if (const waiting where = platform::waiting_here(); where != waiting::allowed)
        return unexpected(where == waiting::in_nmi ? patch_error::in_nmi
                                                   : patch_error::cannot_synchronise);
    if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE) != 0)
        return unexpected(patch_error::busy);
    const patch_error why = internal::check(patches, count);
    if (why == no_error && count != 0)
        write(patches, count);
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    if (why != no_error)
        return unexpected(why);
    return count;
}

} // namespace nmisafe::text_patch
