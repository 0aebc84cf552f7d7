// SPDX-License-Identifier: MIT
// The checks of a batch, before anything is written.
#include "nmisafe/text_patch/internal/check.hpp"

#include "nmisafe/platform/contract.hpp"
#include "nmisafe/text_patch/internal/emulate.hpp"
#include "nmisafe/text_patch/internal/simple_instruction.hpp"
#include "nmisafe/text_patch/text.hpp"

namespace nmisafe::text_patch {

using internal::no_error;
using platform::contract;

namespace {

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

/// The length of the code at `stub` if it is `call target; jmp next`, with the target of the CALL
/// at the site; else 0.
size_t stub_length(uintptr_t stub, const patch& site, const simple_instruction& call) {
    constexpr size_t call_length = 5;
    constexpr size_t jump_lengths[] = {2, 5};
    uint8_t bytes[call_length];
    if (!is_code(stub, stub + call_length + jump_lengths[0]))
        return 0;
    contract::read_text(stub, bytes, call_length);
    const simple_instruction first = recognise(bytes, call_length);
    if (first.what != form::call ||
        stub + call_length + first.value != site.address + site.size + call.value)
        return 0;
    for (const size_t jump_length : jump_lengths) {
        const size_t length = call_length + jump_length;
        if (!is_code(stub, stub + length))
            return 0;
        contract::read_text(stub + call_length, bytes, jump_length);
        const simple_instruction second = recognise(bytes, jump_length);
        if (second.what == form::jump)
            return stub + length + second.value == site.address + site.size ? length : 0;
    }
    return 0;
}

/// Also works out what a hit will do.
patch_error check_side(patch& site, bool after) {
    const uintptr_t stub = after ? site.stub_after : site.stub_before;
    const simple_instruction instruction = recognise(after ? site.after : site.before, site.size);
    internal::prepare(site.internal, after, instruction, site.address, stub);
    if (is_probe(site))
        return no_error; // its instruction may be any
    if (instruction.what == form::unknown)
        return patch_error::unknown_instruction;
    if (instruction.what == form::call && stub_length(stub, site, instruction) == 0)
        return patch_error::bad_stub;
    return no_error;
}

/// How many bytes must be as in `before`.
size_t expected_size(const patch& site) {
    return site.expected_size != 0 ? site.expected_size : site.size;
}

patch_error check_boundary(const patch& site) {
    const auto way = walk(site.function, site.address, {is_code, nullptr});
    if (!way)
        return patch_error::not_boundary;
    return breakpoint_may_follow(way->last) ? no_error : patch_error::no_probe;
}

patch_error check_site(patch& site) {
    const size_t expected = expected_size(site);
    if (site.size == 0 || expected > x86::maximum_instruction_length || expected < site.size ||
        (expected != site.size && !is_probe(site)))
        return patch_error::bad_size;
    const uintptr_t end = site.address + expected;
    if (!may_be_changed(site.address, end))
        return patch_error::no_probe;
    if (!is_code(site.address, end))
        return patch_error::not_text;
    if (site.function != 0)
        if (const auto why = check_boundary(site); why != no_error)
            return why;
    if (const auto why = check_side(site, false); why != no_error)
        return why;
    if (const auto why = check_side(site, true); why != no_error)
        return why;
    uint8_t found[x86::maximum_instruction_length];
    contract::read_text(site.address, found, expected);
    for (size_t i = 0; i < expected; ++i)
        if (found[i] != site.before[i])
            return patch_error::unexpected_bytes;
    return no_error;
}

/// Whether a patch of the batch touches these bytes. The batch is sorted, without overlaps.
bool is_patched(const patch* patches, size_t count, uintptr_t begin, uintptr_t end) {
    size_t first = 0; // of those that end behind `begin`
    for (size_t last = count; first != last;) {
        const size_t half = first + (last - first) / 2;
        if (patches[half].address + patches[half].size > begin)
            last = half;
        else
            first = half + 1;
    }
    return first != count && patches[first].address < end;
}

/// A CPU runs a stub while the batch is applied: so it must not change then.
bool has_patched_stub(const patch* patches, size_t count, const patch& site) {
    const auto is_bad = [&](const uint8_t* bytes, uintptr_t stub) {
        if (stub == 0)
            return false;
        const simple_instruction instruction = recognise(bytes, site.size);
        return instruction.what == form::call &&
               is_patched(patches, count, stub, stub + stub_length(stub, site, instruction));
    };
    return is_bad(site.before, site.stub_before) || is_bad(site.after, site.stub_after);
}

/// Makes the batch a hash table of itself, for the breakpoint handler. All chains are empty.
void link_chains(patch* patches, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const patch*& first = patches[internal::chain_of(patches[i].address, count)].internal.first;
        patches[i].internal.next = first;
        first = &patches[i];
    }
}

} // namespace

patch_error internal::check(patch* patches, size_t count) {
    sort(patches, count);
    uintptr_t stubs = 0;
    for (size_t i = 0; i < count; ++i) {
        stubs |= patches[i].stub_before | patches[i].stub_after;
        patches[i].internal.first = nullptr;
        if (const patch_error why = check_site(patches[i]); why != no_error)
            return why;
        if (i != 0 && patches[i - 1].address + expected_size(patches[i - 1]) > patches[i].address)
            return patch_error::overlap;
    }
    for (size_t i = 0; stubs != 0 && i < count; ++i)
        if (has_patched_stub(patches, count, patches[i]))
            return patch_error::bad_stub;
    link_chains(patches, count);
    return no_error;
}

} // namespace nmisafe::text_patch
