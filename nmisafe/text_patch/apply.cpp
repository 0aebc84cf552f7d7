// SPDX-License-Identifier: MIT
// Checks a batch, then takes all its sites through INT3.
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
#include "nmisafe/text_patch/internal/batch.hpp"
#include "nmisafe/text_patch/internal/simple_instruction.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/registers.hpp"

// The library's own code that no probe may touch (I12): entry, return, breakpoint handler.
extern "C" const char __start_nmisafe_trap_text[];
extern "C" const char __stop_nmisafe_trap_text[];

namespace nmisafe::text_patch {

static_assert(platform::check_text_contract<platform::contract>());

namespace {

using base::expected;
using base::unexpected;
using platform::contract;

constexpr patch_error no_error{};

uint32_t busy; // an apply() is at work

// --- the checks, before anything is written -----------------------------------------------------

void sift_down(patch* patches, size_t at, size_t count) {
    for (size_t child = 2 * at + 1; child < count; at = child, child = 2 * at + 1) {
        if (child + 1 < count && patches[child].address < patches[child + 1].address)
            ++child;
        if (patches[at].address >= patches[child].address)
            return;
        std::swap(patches[at], patches[child]);
    }
}

bool is_sorted(const patch* patches, size_t count) {
    for (size_t i = 1; i < count; ++i)
        if (patches[i].address < patches[i - 1].address)
            return false;
    return true;
}

/// Heap sort: in place, no recursion, no bad case.
void sort(patch* patches, size_t count) {
    if (is_sorted(patches, count))
        return;
    for (size_t i = count / 2; i-- != 0;)
        sift_down(patches, i, count);
    for (size_t last = count; last-- > 1;) {
        std::swap(patches[0], patches[last]);
        sift_down(patches, 0, last);
    }
}

bool is_probe(const patch& site) {
    return site.size == 1 && (site.before[0] == breakpoint) != (site.after[0] == breakpoint);
}

bool overlaps(uintptr_t begin, uintptr_t end, const char* section_begin, const char* section_end) {
    return begin < reinterpret_cast<uintptr_t>(section_end) &&
           end > reinterpret_cast<uintptr_t>(section_begin);
}

bool is_code(uintptr_t begin, uintptr_t end) {
    return end > begin && contract::is_text(begin, end);
}

bool may_be_changed(uintptr_t begin, uintptr_t end) {
    return !overlaps(begin, end, __start_nmisafe_trap_text, __stop_nmisafe_trap_text) &&
           !contract::is_no_probe(begin, end);
}

/// Whether the code at `stub` is `call target; jmp next`, with the target of the CALL at the site.
bool does_the_call(uintptr_t stub, const patch& site, const simple_instruction& call) {
    constexpr size_t call_length = 5;
    constexpr size_t jump_lengths[] = {2, 5};
    uint8_t bytes[call_length];
    if (!is_code(stub, stub + call_length + jump_lengths[0]))
        return false;
    contract::read_text(stub, bytes, call_length);
    const simple_instruction first = recognise(bytes, call_length);
    if (first.what != form::call ||
        stub + call_length + first.value != site.address + site.size + call.value)
        return false;
    for (const size_t length : jump_lengths) {
        if (!is_code(stub, stub + call_length + length))
            return false;
        contract::read_text(stub + call_length, bytes, length);
        const simple_instruction second = recognise(bytes, length);
        if (second.what == form::jump)
            return stub + call_length + length + second.value == site.address + site.size;
    }
    return false;
}

patch_error check_side(const patch& site, const uint8_t* bytes, uintptr_t stub) {
    const simple_instruction instruction = recognise(bytes, site.size);
    if (instruction.what == form::unknown)
        return patch_error::unknown_instruction;
    if (instruction.what == form::call && !does_the_call(stub, site, instruction))
        return patch_error::bad_stub;
    return no_error;
}

patch_error check(const patch& site) {
    if (site.size == 0 || site.size > longest_instruction)
        return patch_error::bad_size;
    const uintptr_t end = site.address + site.size;
    if (!may_be_changed(site.address, end))
        return patch_error::no_probe;
    if (!is_code(site.address, end))
        return patch_error::not_text;
    if (!is_probe(site)) {
        if (const auto why = check_side(site, site.before, site.stub_before); why != no_error)
            return why;
        if (const auto why = check_side(site, site.after, site.stub_after); why != no_error)
            return why;
    }
    uint8_t found[longest_instruction];
    contract::read_text(site.address, found, site.size);
    for (size_t i = 0; i < site.size; ++i)
        if (found[i] != site.before[i])
            return patch_error::unexpected_bytes;
    return no_error;
}

/// Sorts the batch and checks all of it.
patch_error check(patch* patches, size_t count) {
    sort(patches, count);
    for (size_t i = 0; i < count; ++i) {
        if (const patch_error why = check(patches[i]); why != no_error)
            return why;
        if (i != 0 && patches[i - 1].address + patches[i - 1].size > patches[i].address)
            return patch_error::overlap;
    }
    return no_error;
}

// --- the steps ----------------------------------------------------------------------------------

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
    if (contract::this_cpu().nmi_in_progress != 0)
        return unexpected(patch_error::in_nmi);
    if (!contract::may_synchronise())
        return unexpected(patch_error::cannot_synchronise);
    if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE) != 0)
        return unexpected(patch_error::busy);
    const patch_error why = check(patches, count);
    if (why == no_error)
        write(patches, count);
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    if (why != no_error)
        return unexpected(why);
    return count;
}

} // namespace nmisafe::text_patch
