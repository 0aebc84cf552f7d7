// SPDX-License-Identifier: MIT
#include "nmisafe/ctf/table.hpp"

namespace nmisafe::ctf {

namespace {

constexpr uint32_t alignment = 4;

uint32_t length_of(const char* name) {
    uint32_t result = 0;
    while (name[result] != 0)
        ++result;
    return result + 1;
}

struct writer {
    uint8_t* to;

    void byte(uint8_t one) { *to++ = one; }
    void number(uint32_t value, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i)
            byte(static_cast<uint8_t>(value >> (8 * i)));
    }
    void name(const char* text) {
        do
            byte(static_cast<uint8_t>(*text));
        while (*text++ != 0);
    }
};

uint32_t number_at(const uint8_t* from, unsigned bytes) {
    uint32_t result = 0;
    for (unsigned i = 0; i < bytes; ++i)
        result |= uint32_t{from[i]} << (8 * i);
    return result;
}

/// The name at `at`, which ends before `end`; null if there is none.
const char* name_at(const uint8_t*& at, const uint8_t* end) {
    const uint8_t* const begin = at;
    while (at != end && *at != 0)
        ++at;
    if (at == end)
        return nullptr;
    ++at;
    const auto* const name = reinterpret_cast<const char*>(begin);
    return is_identifier(name) ? name : nullptr;
}

bool is_base(uint8_t base) {
    return base == 8 || base == 10 || base == 16;
}

bool next_field(const uint8_t*& at, const uint8_t* end, field& to) {
    if (end - at < 2 || at[0] >= kind_count || !is_base(at[1]))
        return false;
    to.type = static_cast<kind>(at[0]);
    to.shown = static_cast<base>(at[1]);
    at += 2;
    to.name = name_at(at, end);
    return to.name != nullptr;
}

} // namespace

uint32_t table_size(const event& one) {
    uint32_t size = table_entry_head + length_of(one.name);
    for (size_t i = 0; i < one.field_count; ++i)
        size += 2 + length_of(one.fields[i].name);
    return (size + alignment - 1) & ~(alignment - 1);
}

bool append(uint8_t* table, uint32_t capacity, uint32_t& length, const event& one) {
    const uint32_t size = table_size(one);
    if (one.field_count > most_fields || size > capacity - length)
        return false;
    writer out{table + length};
    uint8_t* const end = out.to + size;
    out.number(size, 4);
    out.number(one.id, 4);
    out.number(static_cast<uint32_t>(one.field_count), 2);
    out.number(0, 2);
    out.name(one.name);
    for (size_t i = 0; i < one.field_count; ++i) {
        out.byte(static_cast<uint8_t>(one.fields[i].type));
        out.byte(static_cast<uint8_t>(one.fields[i].shown));
        out.name(one.fields[i].name);
    }
    while (out.to != end)
        out.byte(0);
    __atomic_store_n(&length, length + size, __ATOMIC_RELEASE);
    return true;
}

bool next_event(const uint8_t*& at, const uint8_t* end, found_event& to) {
    if (end - at < ptrdiff_t{table_entry_head})
        return false;
    const uint32_t size = number_at(at, 4);
    if (size < table_entry_head || size % alignment != 0 || size > static_cast<size_t>(end - at))
        return false;
    const uint8_t* const entry_end = at + size;
    to.id = number_at(at + 4, 4);
    to.field_count = number_at(at + 8, 2);
    if (to.field_count > most_fields)
        return false;
    const uint8_t* inside = at + table_entry_head;
    to.name = name_at(inside, entry_end);
    if (to.name == nullptr)
        return false;
    for (uint32_t i = 0; i < to.field_count; ++i)
        if (!next_field(inside, entry_end, to.fields[i]))
            return false;
    at = entry_end;
    return true;
}

} // namespace nmisafe::ctf
