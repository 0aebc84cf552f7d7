// SPDX-License-Identifier: MIT
// From a key and its new value to a batch of patches.
#include "nmisafe/immediate/immediate.hpp"

// Weak: a program may have no site at all.
extern "C" [[gnu::weak]] const nmisafe::immediate::site __start_nmisafe_immediate_sites[];
extern "C" [[gnu::weak]] const nmisafe::immediate::site __stop_nmisafe_immediate_sites[];

namespace nmisafe::immediate {

namespace {

using base::expected;
using base::unexpected;
using text_patch::patch;
using text_patch::patch_error;

constexpr uint8_t branch_size = 5;
constexpr uint8_t nop[branch_size] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
constexpr uint8_t jump_opcode = 0xe9;

constexpr uint8_t wide_load_size = 10; // REX.W, opcode, 8 bytes; all others end in 4

patch* workspace;
size_t workspace_size;
uint32_t busy; // a set() is at work

struct site_table {
    const site* begin() const { return __start_nmisafe_immediate_sites; }
    const site* end() const { return __stop_nmisafe_immediate_sites; }
};

/// The low bytes of a value, lowest first.
void put(uint8_t* bytes, size_t size, uintptr_t value) {
    for (size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<uint8_t>(value >> 8 * i);
}

void encode_branch(uint8_t* bytes, const site& where, bool taken) {
    for (size_t i = 0; i < branch_size; ++i)
        bytes[i] = nop[i];
    if (!taken)
        return;
    bytes[0] = jump_opcode;
    put(bytes + 1, branch_size - 1, where.target() - where.code() - branch_size);
}

/// The opcode, which names the register the compiler chose, is taken from the code itself; the
/// value is not, so that a site that holds something else is noticed.
void encode_value(uint8_t* bytes, const site& where, uintptr_t bits) {
    const size_t value_size = where.size == wide_load_size ? 8 : 4;
    const size_t opcode_size = where.size - value_size;
    const auto* const code = reinterpret_cast<const volatile uint8_t*>(where.code());
    for (size_t i = 0; i < opcode_size; ++i)
        bytes[i] = code[i];
    put(bytes + opcode_size, value_size, bits);
}

void encode(uint8_t* bytes, const site& where, uintptr_t bits) {
    if (where.kind == site_kind::branch)
        encode_branch(bytes, where, bits != 0);
    else
        encode_value(bytes, where, bits);
}

expected<size_t, patch_error> collect(const key& which, uintptr_t bits) {
    size_t count = 0;
    for (const site& where : site_table{}) {
        if (!where.belongs_to(which))
            continue;
        if (count == workspace_size)
            return unexpected(patch_error::no_room);
        patch& change = workspace[count++];
        change = {};
        change.address = where.code();
        change.size = where.size;
        encode(change.before, where, which.bits);
        encode(change.after, where, bits);
        if (change.before[0] == text_patch::breakpoint) // a probe is on it
            return unexpected(patch_error::unexpected_bytes);
    }
    return count;
}

expected<size_t, patch_error> change(key& which, uintptr_t bits) {
    if (which.bits == bits)
        return size_t{0};
    const auto batch = collect(which, bits);
    if (!batch)
        return batch;
    const auto applied = text_patch::apply(workspace, *batch);
    if (applied)
        __atomic_store_n(&which.bits, bits, __ATOMIC_RELAXED);
    return applied;
}

} // namespace

void use_workspace(patch* storage, size_t count) {
    workspace = storage;
    workspace_size = count;
}

size_t site_count() {
    return static_cast<size_t>(site_table{}.end() - site_table{}.begin());
}

size_t site_count(const key& which) {
    size_t count = 0;
    for (const site& where : site_table{})
        count += where.belongs_to(which);
    return count;
}

expected<size_t, patch_error> internal::set(key& which, uintptr_t bits) {
    // The empty batch asks whether this is a place to patch from, before anything is touched that
    // an NMI might have found half done.
    if (const auto possible = text_patch::apply(nullptr, 0); !possible)
        return possible;
    if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE) != 0)
        return unexpected(patch_error::busy);
    const auto result = change(which, bits);
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    return result;
}

} // namespace nmisafe::immediate
