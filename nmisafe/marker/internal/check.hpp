// SPDX-License-Identifier: MIT
// Whether what wants to join is a table of markers.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/marker/join.hpp"

namespace nmisafe::marker {

/// Reads what lies in the range's memory, nothing else, and writes nothing. There is a
/// registration. @context thread
class range_check {
  public:
    explicit range_check(const marker_range& range) : range_(range) {}

    /// 0 if all of it can be relied on: then each entry names a marker of this range, which names
    /// terminated strings, the types that its format asks for, and a flag of its own.
    marker_error run() const;

  private:
    bool is_table() const;
    bool is_data_of_others() const;
    bool is_marker(const int32_t* entry) const;
    bool is_string(const char* text) const;
    bool has_types(const marker& one) const;
    bool has_flag(const marker& one) const;
    bool is_apart(const int32_t* entry) const;

    static uintptr_t flag_of(uintptr_t address);

    const marker_range& range_;
};

} // namespace nmisafe::marker
