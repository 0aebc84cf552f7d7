// SPDX-License-Identifier: MIT
// Puts probes on and takes them off.
#include "nmisafe/kprobe/internal/check.hpp"
#include "nmisafe/kprobe/internal/removal.hpp"
#include "nmisafe/kprobe/internal/step.hpp"
#include "nmisafe/kprobe/internal/table.hpp"
#include "nmisafe/kprobe/internal/turn.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/text_patch/text.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/registers.hpp"

namespace nmisafe::kprobe {

static_assert(internal::longest_slot_code <= slot_size);

namespace {

using base::expected;
using base::unexpected;
using internal::checked;
using internal::enter;
using internal::leave;
using internal::no_error;
using internal::plan;
using internal::state;
using platform::contract;
using text_patch::patch_error;

/// Nobody executes the slot yet; but CPUs may hold what stood there before.
void write_slot(uintptr_t slot, const plan& how) {
    contract::write_text(slot, how.code, how.code_size);
    contract::synchronise_cpus();
    if constexpr (platform::writes_text_twice<contract>)
        contract::write_text(slot, how.code, how.code_size);
}

probe_error translate(patch_error why) {
    switch (why) {
    case patch_error::in_nmi:
        return probe_error::in_nmi;
    case patch_error::cannot_synchronise:
        return probe_error::cannot_synchronise;
    case patch_error::busy:
        return probe_error::busy;
    case patch_error::not_text:
        return probe_error::not_text;
    case patch_error::no_probe:
        return probe_error::no_probe;
    case patch_error::unexpected_bytes:
    case patch_error::no_room: // this and all below are of patches that a probe never makes
    case patch_error::bad_size:
    case patch_error::unknown_instruction:
    case patch_error::bad_stub:
    case patch_error::overlap:
    case patch_error::not_boundary:
        break;
    }
    return probe_error::unexpected_bytes;
}

/// Nothing is written unless the instruction is as it has been read: a copy of another one would
/// be stepped. With INT3 on it nobody else patches it.
patch_error exchange_first_byte(const probe& what, const uint8_t* before, size_t expected_size,
                                uint8_t after) {
    text_patch::patch change{};
    change.address = what.address;
    change.size = 1;
    change.expected_size = static_cast<uint8_t>(expected_size);
    for (size_t i = 0; i < expected_size; ++i)
        change.before[i] = before[i];
    change.after[0] = after;
    const auto changed = text_patch::apply(&change, 1);
    return changed ? patch_error{} : changed.error();
}

void announce_change() {
    __atomic_fetch_add(&internal::all.changes, 1, __ATOMIC_SEQ_CST);
}

bool has_slot(const probe& what) {
    return internal::all.slots.find(what.slot) == &what;
}

/// Forgets the slot, and makes the probe its owner's. A breakpoint handler that looks for another
/// probe may be standing on a link of this one, also on that of its site, which is out already: it
/// has interrupts off, so the synchronisation waits for it.
void take_out_slot(const probe& what) {
    if (has_slot(what))
        internal::all.slots.take_out(what.internal.slot);
    contract::synchronise_cpus();
}

/// After this no handler begins, and none runs: each runs to its end on its CPU, with interrupts
/// off, and waits for nobody.
void disarm(probe& what) {
    __atomic_store_n(&what.internal.armed, 0, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&what.internal.running, __ATOMIC_SEQ_CST) != 0)
        x86::pause();
}

probe_error insert_checked(probe& what, const checked& found) {
    const plan& how = found.how;
    what.hits = 0;
    what.completed = 0;
    what.missed = 0;
    what.internal.step = how.what;
    what.internal.first_byte = found.bytes[0];
    what.internal.site.between = found.middle;
    if (how.code_size != 0)
        write_slot(what.slot, how);
    if (how.code_size != 0)
        internal::all.slots.add(what.internal.slot, what.slot, what);
    internal::all.sites.add(what.internal.site, what.address, what);
    announce_change(); // behind both: a late handler that sees the count finds the probe
    __atomic_store_n(&what.internal.armed, 1, __ATOMIC_SEQ_CST);
    const patch_error why =
        exchange_first_byte(what, found.bytes, how.what.length, text_patch::breakpoint);
    if (why == patch_error{}) {
        what.internal.now = state::inserted;
        return no_error;
    }
    // No INT3 of the probe has been written. Who has found it by another one of that address, gone
    // since, may run a handler.
    disarm(what);
    announce_change();
    internal::all.sites.take_out(what.internal.site);
    take_out_slot(what);
    return translate(why);
}

} // namespace

probe_error internal::take_off(probe& what) {
    const patch_error why =
        exchange_first_byte(what, &text_patch::breakpoint, 1, what.internal.first_byte);
    // Where the INT3, or the code, has gone already there is none to take off.
    if (why != patch_error{} && why != patch_error::unexpected_bytes &&
        why != patch_error::not_text)
        return translate(why);
    disarm(what);
    announce_change();
    internal::all.sites.take_out(what.internal.site);
    what.internal.now = state::removed;
    return no_error;
}

expected<size_t, probe_error> insert(probe& what) {
    probe_error why = enter();
    if (why != no_error)
        return unexpected(why);
    size_t length = 0;
    if (what.internal.now != state::idle) {
        why = probe_error::wrong_state;
    } else {
        const text_patch::quiet_text text;
        const auto found = internal::check(what);
        if (!text.holds())
            why = probe_error::busy; // what was read may be half of a patch
        else
            why = found ? insert_checked(what, *found) : found.error();
        // By a batch that is over: what it has left there may be probed.
        if (why == probe_error::unexpected_bytes && !text.holds())
            why = probe_error::busy;
        if (found)
            length = found->how.what.length;
    }
    leave();
    if (why != no_error)
        return unexpected(why);
    return length;
}

expected<size_t, probe_error> remove(probe& what) {
    probe_error why = enter();
    if (why != no_error)
        return unexpected(why);
    why =
        what.internal.now != state::inserted ? probe_error::wrong_state : internal::take_off(what);
    leave();
    if (why != no_error)
        return unexpected(why);
    return size_t{what.hits};
}

expected<size_t, probe_error> release(probe& what) {
    probe_error why = enter();
    if (why != no_error)
        return unexpected(why);
    if (what.internal.now != state::removed) {
        why = probe_error::wrong_state;
    } else {
        announce_change();
        take_out_slot(what);
        what.internal.now = state::idle;
    }
    leave();
    if (why != no_error)
        return unexpected(why);
    return what.slot != 0 ? slot_size : 0;
}

} // namespace nmisafe::kprobe
