// SPDX-License-Identifier: MIT
// The checks of a table that wants to join. It may have been made, or damaged, by anybody: nothing
// it says is followed before it is known to lead to where it should.
#include "nmisafe/marker/internal/check.hpp"

#include "nmisafe/marker/format.hpp"
#include "nmisafe/marker/internal/registration.hpp"

namespace nmisafe::marker {

using internal::no_error;

namespace {

using flag = immediate::immediate<bool>;

uintptr_t address_of(const void* what) {
    return reinterpret_cast<uintptr_t>(what);
}

bool overlap(const base::address_range& a, const base::address_range& b) {
    return a.begin < b.end && b.begin < a.end;
}

bool overlap(uintptr_t a, size_t a_size, uintptr_t b, size_t b_size) {
    return a < b + b_size && b < a + a_size;
}

} // namespace

/// What is written must not be what strings and types were checked in.
bool range_check::is_table() const {
    const uintptr_t begin = address_of(range_.begin);
    const uintptr_t end = address_of(range_.end);
    if (begin > end || begin % alignof(int32_t) != 0 || (end - begin) % sizeof(int32_t) != 0 ||
        overlap(range_.data, range_.constants))
        return false;
    return begin == end || (range_.data.begin < range_.data.end &&
                            (end - begin) / sizeof(int32_t) <=
                                (range_.data.end - range_.data.begin) / sizeof(marker));
}

bool range_check::is_data_of_others() const {
    bool found = false;
    internal::for_each_address([&](uintptr_t address) { found |= range_.data.holds(address, 1); });
    return found;
}

/// Bounded by the end of the constants.
bool range_check::is_string(const char* text) const {
    for (uintptr_t at = address_of(text); range_.constants.holds(at, 1); ++at)
        if (*reinterpret_cast<const char*>(at) == 0)
            return true;
    return false;
}

bool range_check::has_types(const marker& one) const {
    const parsed_format parsed = parse_format(one.format_);
    if (one.format_[0] == 0 || parsed.problem != format_problem::none || parsed.count != one.count_)
        return false;
    if (one.count_ == 0)
        return true;
    if (!range_.constants.holds(address_of(one.types_), one.count_ * sizeof(argument_type)))
        return false;
    for (size_t i = 0; i < one.count_; ++i)
        if (one.types_[i] != parsed.types[i])
            return false;
    return true;
}

uintptr_t range_check::flag_of(uintptr_t address) {
    return address_of(&reinterpret_cast<const marker*>(address)->on_);
}

bool range_check::has_flag(const marker& one) const {
    const uintptr_t where = address_of(&one.on_);
    return where % alignof(flag) == 0 && range_.data.holds(where, sizeof(flag)) &&
           reinterpret_cast<const immediate::key*>(where)->bits <= 1;
}

bool range_check::is_marker(const int32_t* entry) const {
    const uintptr_t address = internal::address_of(entry);
    if (address % alignof(marker) != 0 || !range_.data.holds(address, sizeof(marker)))
        return false;
    const auto& one = *reinterpret_cast<const marker*>(address);
    return is_string(one.channel_) && is_string(one.name_) && is_string(one.format_) &&
           has_types(one) && has_flag(one);
}

/// No memory serves two purposes: markers and their flags are written later, and a marker that is
/// written as somebody's flag would lead anywhere. The entries up to this one are known to be
/// markers.
bool range_check::is_apart(const int32_t* entry) const {
    const uintptr_t mine = internal::address_of(entry);
    const uintptr_t my_flag = flag_of(mine);
    if (overlap(mine, sizeof(marker), my_flag, sizeof(flag)))
        return false;
    for (const int32_t* before = range_.begin; before != entry; ++before) {
        const uintptr_t other = internal::address_of(before);
        const uintptr_t other_flag = flag_of(other);
        if (overlap(mine, sizeof(marker), other, sizeof(marker)) || my_flag == other_flag ||
            overlap(mine, sizeof(marker), other_flag, sizeof(flag)) ||
            overlap(other, sizeof(marker), my_flag, sizeof(flag)))
            return false;
    }
    return true;
}

marker_error range_check::run() const {
    if (!is_table() || is_data_of_others())
        return marker_error::bad_table;
    for (const int32_t* entry = range_.begin; entry != range_.end; ++entry)
        if (!is_marker(entry) || !is_apart(entry))
            return marker_error::bad_marker;
    return no_error;
}

} // namespace nmisafe::marker
