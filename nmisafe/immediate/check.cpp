// SPDX-License-Identifier: MIT
// The checks of a table that wants to join. It may have been made, or damaged, by anybody: nothing
// it says is followed before it is known to lead to where it should.
#include "nmisafe/immediate/internal/check.hpp"

#include "nmisafe/immediate/internal/batch.hpp"
#include "nmisafe/platform/contract.hpp"

namespace nmisafe::immediate::internal {

namespace {

using platform::contract;

constexpr join_error no_error{};
constexpr uint8_t load_opcode = 0xb8; // + the register
constexpr uint8_t stack_pointer = 4;  // the register, unless REX.B says R12
constexpr uint8_t rex_opcode = 0x40;  // + W, R, X, B
constexpr uint8_t rex_w = 8;
constexpr uint8_t rex_b = 1;

uintptr_t address_of(const void* what) {
    return reinterpret_cast<uintptr_t>(what);
}

/// Counts by addresses: begin and end need not even be of one array.
bool is_table(const site_range& range) {
    const uintptr_t begin = address_of(range.begin);
    const uintptr_t end = address_of(range.end);
    return begin <= end && begin % alignof(site) == 0 && (end - begin) % sizeof(site) == 0 &&
           (begin == end || range.code.begin < range.code.end) &&
           (end - begin) / sizeof(site) <= (range.code.end - range.code.begin) / branch_size;
}

/// A site of two tables would be changed by one and not be recognised by the other.
bool is_code_of_others(const site_range& range) {
    bool found = false;
    for_each_site([&](const site& known) { found |= range.code.holds(known.code(), 1); });
    return found;
}

bool is_code(const site_range& range, uintptr_t address, size_t size) {
    return range.code.holds(address, size) && contract::is_text(address, address + size);
}

bool is_key(const site_range& range, uintptr_t address) {
    return address % alignof(key) == 0 &&
           (range.data.holds(address, sizeof(key)) || range.shared.holds(address, sizeof(key)));
}

/// A NOP, or the jump to the target. `bytes` are what stands there.
bool is_branch(const site& where, const uint8_t* bytes) {
    for (const bool taken : {false, true}) {
        uint8_t expected[branch_size];
        encode_branch(expected, where, taken);
        bool same = true;
        for (size_t i = 0; i < branch_size; ++i)
            same &= bytes[i] == expected[i];
        if (same)
            return true;
    }
    return false;
}

/// `mov $imm32, %r32`, or `movabs $imm64, %r64`, and as text_patch has it: not to the stack
/// pointer.
bool is_load(const site& where, const uint8_t* bytes) {
    const size_t prefixes = where.size - value_size(where) - 1;
    uint8_t rex = 0;
    if (prefixes != 0) {
        rex = bytes[0];
        const uint8_t width = where.size == wide_load_size ? rex_w : 0;
        if (sizeof(uintptr_t) != 8 || prefixes != 1 || (rex & ~rex_b) != (rex_opcode | width))
            return false;
    }
    const uint8_t opcode = bytes[prefixes];
    return (opcode & 0xf8) == load_opcode &&
           (opcode != load_opcode + stack_pointer || (rex & rex_b) != 0);
}

bool has_size(const site& where) {
    if (where.kind == site_kind::branch)
        return where.size == branch_size;
    return where.kind == site_kind::value &&
           (where.size == branch_size || where.size == branch_size + 1 ||
            (where.size == wide_load_size && sizeof(uintptr_t) == 8));
}

/// What the key holds is nothing that its type, if the site reads it, could not hold.
bool fits(const site& where, uintptr_t bits) {
    if (where.kind == site_kind::branch)
        return bits <= 1;
    return where.size == wide_load_size || bits <= ~uint32_t{0};
}

bool is_site(const site_range& range, const site& where) {
    if (!has_size(where) || where.reserved != 0 || !is_code(range, where.code(), where.size) ||
        contract::is_no_probe(where.code(), where.code() + where.size) ||
        !is_key(range, where.key_address()) ||
        !fits(where, reinterpret_cast<const key*>(where.key_address())->bits))
        return false;
    uint8_t bytes[wide_load_size];
    contract::read_text(where.code(), bytes, where.size);
    if (where.kind == site_kind::branch)
        return is_code(range, where.target(), 1) && is_branch(where, bytes);
    return where.target_offset == 0 && is_load(where, bytes);
}

/// Whether a site has bytes in common with one before it in the table. Tables are nearly sorted,
/// since the assembler writes them in the order of the code.
class overlap_check {
  public:
    explicit overlap_check(const site* first) : first_(first) {}

    bool found(const site& where) {
        const uintptr_t begin = where.code();
        const uintptr_t end = begin + where.size;
        if (begin >= highest_end_) {
            highest_end_ = end;
            return false;
        }
        for (const site* before = first_; before != &where; ++before)
            if (begin < before->code() + before->size && end > before->code())
                return true;
        return false;
    }

  private:
    const site* const first_;
    uintptr_t highest_end_ = 0;
};

} // namespace

join_error check(const site_range& range) {
    if (!is_table(range) || is_code_of_others(range))
        return join_error::bad_table;
    overlap_check overlap(range.begin);
    for (const site* where = range.begin; where != range.end; ++where)
        if (!is_site(range, *where) || overlap.found(*where))
            return join_error::bad_site;
    return no_error;
}

} // namespace nmisafe::immediate::internal
