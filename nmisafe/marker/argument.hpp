// SPDX-License-Identifier: MIT
/// The arguments of a marker as its probes get them: readable in any context, without va_list and
/// without a look at the format.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::marker {

class marker;

namespace internal {
template <size_t Count>
struct argument_block;
}

enum class argument_kind : uint8_t {
    signed_integer = 1, ///< %d %i
    unsigned_integer,   ///< %u %x %X %o
    character,          ///< %c
    pointer,            ///< %p
    string,             ///< %s: a pointer that is good for as long as the probe runs.
};

/// What one conversion of a format says about its argument.
struct argument_type {
    argument_kind kind;
    uint8_t size; ///< In bytes, as the length modifier has it: 1, 2, 4 or 8.
    uint8_t base; ///< To be shown in: 8, 10 or 16; 0 for a character or a string.

    bool operator==(const argument_type&) const = default;
};

/// One argument. The accessor that fits the kind gives its value; the others give its bits.
/// @context any, all of them
class argument {
  public:
    constexpr argument(argument_type type, uint64_t bits) : type_(type), bits_(bits) {}

    constexpr argument_type type() const { return type_; }

    /// The value, zero-extended from its size.
    constexpr uint64_t as_unsigned() const { return bits_; }

    /// The value, sign-extended from its size.
    constexpr int64_t as_signed() const {
        const uint64_t sign = uint64_t{1} << (8 * type_.size - 1);
        return static_cast<int64_t>((bits_ ^ sign) - sign);
    }
    const void* as_pointer() const {
        return reinterpret_cast<const void*>(static_cast<uintptr_t>(bits_));
    }
    const char* as_string() const {
        return reinterpret_cast<const char*>(static_cast<uintptr_t>(bits_));
    }

  private:
    argument_type type_;
    uint64_t bits_;
};

/// All arguments of one hit. They are on the stack of whoever hit the marker: a probe that keeps
/// them copies them. @context any, all of it
class arguments {
  public:
    arguments(const arguments&) = delete;
    arguments& operator=(const arguments&) = delete;

    size_t size() const;

    /// Traps if there is no such argument.
    argument operator[](size_t index) const;

  private:
    template <size_t Count>
    friend struct internal::argument_block;
    constexpr explicit arguments(const marker& which) : which_(&which) {}

    const marker* which_; // the values stand behind it: see internal::argument_block
};

} // namespace nmisafe::marker
