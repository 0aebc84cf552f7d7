// SPDX-License-Identifier: MIT
/// A value or the reason why there is none: std::expected's names, without a throwing value().
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::base {

/// Wraps an error on its way into an expected, so that `return unexpected(reason)` reads as what it
/// is even where the value and the error convert into each other.
template <typename E>
class unexpected {
  public:
    /// @context any
    constexpr explicit unexpected(E error) : error_(error) {}
    /// @context any
    constexpr E error() const { return error_; }

  private:
    E error_;
};

/// A T, or an E that says why not. E is an enum whose values are documented one by one.
///
/// Values that need a destructor are left out on purpose: the copy stays trivial, so an expected is
/// returned in registers and costs no more than a flag.
///
/// Reading the side that is not there is a bug of the caller; it traps instead of going on with an
/// arbitrary value. The compiler drops that check where has_value() was asked before.
template <typename T, typename E>
class [[nodiscard]] expected {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_copyable_v<E>,
                  "expected holds trivially copyable values");

  public:
    using value_type = T;
    using error_type = E;

    /// @context any
    constexpr expected(T value) : value_(value), has_value_(true) {}
    /// @context any
    constexpr expected(unexpected<E> reason) : error_(reason.error()), has_value_(false) {}

    /// @context any
    constexpr bool has_value() const { return has_value_; }
    /// @context any
    constexpr explicit operator bool() const { return has_value_; }

    /// The value. Traps if there is none.
    /// @context any
    constexpr const T& operator*() const {
        require(has_value_);
        return value_;
    }
    /// The value. Traps if there is none.
    /// @context any
    constexpr const T* operator->() const {
        require(has_value_);
        return &value_;
    }
    /// The error. Traps if there is a value.
    /// @context any
    constexpr E error() const {
        require(!has_value_);
        return error_;
    }
    /// The value, or `fallback` if there is none.
    /// @context any
    constexpr T value_or(T fallback) const { return has_value_ ? value_ : fallback; }

  private:
    static constexpr void require(bool condition) {
        if (!condition)
            __builtin_trap();
    }

    union {
        T value_;
        E error_;
    };
    bool has_value_;
};

} // namespace nmisafe::base
