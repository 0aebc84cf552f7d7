// SPDX-License-Identifier: MIT
// From keys and their new values to a batch of patches.
#include "nmisafe/immediate/immediate.hpp"

#include "nmisafe/immediate/internal/batch.hpp"
#include "nmisafe/platform/contract.hpp"

namespace nmisafe::immediate {

namespace internal {
constinit registry all{};
}

namespace {

using base::expected;
using base::unexpected;
using internal::all;
using platform::contract;
using text_patch::patch;
using text_patch::patch_error;

constexpr patch_error no_patch_error{};

constexpr uint8_t nop[internal::branch_size] = {0x0f, 0x1f, 0x44, 0x00, 0x00};

/// The low bytes of a value, lowest first.
void put(uint8_t* bytes, size_t size, uintptr_t value) {
    for (size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<uint8_t>(value >> 8 * i);
}

/// The opcode, which names the register the compiler chose, is taken from the code itself; the
/// value is not, so that a site that holds something else is noticed.
void encode_site(uint8_t* bytes, const site& where, uintptr_t bits) {
    if (where.kind == site_kind::branch) {
        internal::encode_branch(bytes, where, bits != 0);
        return;
    }
    const size_t opcode_size = where.size - internal::value_size(where);
    contract::read_text(where.code(), bytes, opcode_size);
    put(bytes + opcode_size, internal::value_size(where), bits);
}

bool differ(const uint8_t* a, const uint8_t* b, size_t size) {
    for (size_t i = 0; i < size; ++i)
        if (a[i] != b[i])
            return true;
    return false;
}

} // namespace

namespace internal {

void encode_branch(uint8_t* bytes, const site& where, bool taken) {
    for (size_t i = 0; i < branch_size; ++i)
        bytes[i] = nop[i];
    if (!taken)
        return;
    bytes[0] = jump_opcode;
    put(bytes + 1, branch_size - 1, where.target() - where.code() - branch_size);
}

/// The empty batch asks whether this is a place to patch from, before anything is touched that an
/// NMI might have found half done.
batch::batch() : owner_(false), error_(no_patch_error) {
    if (const auto possible = text_patch::apply(nullptr, 0); !possible)
        error_ = possible.error();
    else if (__atomic_exchange_n(&all.busy, 1, __ATOMIC_ACQUIRE) != 0)
        error_ = patch_error::busy;
    else
        owner_ = true;
}

batch::~batch() {
    if (owner_)
        __atomic_store_n(&all.busy, 0, __ATOMIC_RELEASE);
}

patch* batch::make_patch(const site& where) {
    if (error_ != no_patch_error)
        return nullptr;
    if (count_ == all.workspace_size) {
        error_ = patch_error::no_room;
        return nullptr;
    }
    patch& made = all.workspace[count_++];
    made = {};
    made.address = where.code();
    made.size = where.size;
    return &made;
}

void batch::add(const key& which, uintptr_t bits) {
    if (error_ != no_patch_error || which.bits == bits)
        return;
    for_each_site([&](const site& where) {
        if (!where.belongs_to(which))
            return;
        patch* const change = make_patch(where);
        if (change == nullptr)
            return;
        encode_site(change->before, where, which.bits);
        encode_site(change->after, where, bits);
        if (change->before[0] == text_patch::breakpoint) // a probe is on it
            error_ = patch_error::unexpected_bytes;
    });
}

void batch::add(const site& where, uintptr_t bits) {
    uint8_t before[x86::maximum_instruction_length];
    uint8_t after[x86::maximum_instruction_length];
    contract::read_text(where.code(), before, where.size);
    encode_site(after, where, bits);
    if (!differ(before, after, where.size))
        return;
    patch* const change = make_patch(where);
    if (change == nullptr)
        return;
    for (size_t i = 0; i < where.size; ++i) {
        change->before[i] = before[i];
        change->after[i] = after[i];
    }
}

expected<size_t, patch_error> batch::apply() {
    if (error_ != no_patch_error)
        return unexpected(error_);
    return text_patch::apply(all.workspace, count_);
}

expected<size_t, patch_error> set(key& which, uintptr_t bits) {
    return set_together([&](auto change) { change(which, bits); });
}

} // namespace internal

void use_workspace(patch* storage, size_t count) {
    all.workspace = storage;
    all.workspace_size = count;
}

size_t site_count() {
    return static_cast<size_t>(__stop_nmisafe_immediate_sites - __start_nmisafe_immediate_sites) +
           __atomic_load_n(&all.joined_sites, __ATOMIC_RELAXED);
}

size_t site_count(const key& which) {
    size_t count = 0;
    internal::for_each_site([&](const site& where) { count += where.belongs_to(which); });
    return count;
}

} // namespace nmisafe::immediate
