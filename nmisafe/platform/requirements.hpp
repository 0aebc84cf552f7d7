// SPDX-License-Identifier: MIT
/// The platform contract in the compiler's words: what a kernel must have, and what it may have.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/return_image.hpp"

namespace nmisafe::platform {

// Required.

template <typename T>
concept has_preempt_count = requires {
    { T::preempt_count() } -> std::same_as<uint32_t>;
};
template <typename T>
concept has_add_preempt_count = requires(uint32_t delta) {
    { T::add_preempt_count(delta) } -> std::same_as<void>;
};
template <typename T>
concept has_this_cpu = requires {
    { T::this_cpu() } -> std::same_as<cpu_state&>;
};
template <typename T>
concept has_panic = requires(const failure& why) {
    { T::panic(why) } -> std::same_as<void>;
};

// Optional. Each is present when the name is there; a present one with the wrong signature is an
// error, so that a typing mistake is not taken for "absent".

template <typename T>
concept has_lock_checker = requires {
    &T::lock_checker_off;
}
|| requires {
    &T::lock_checker_on;
};
template <typename T>
concept has_irq_accounting = requires {
    &T::irq_enter_accounting;
}
|| requires {
    &T::irq_exit_accounting;
};
template <typename T>
concept has_return_capture = requires {
    &T::capture_return;
};

template <typename T>
concept lock_checker_is_whole = requires {
    { T::lock_checker_off() } -> std::same_as<void>;
    { T::lock_checker_on() } -> std::same_as<void>;
};
template <typename T>
concept irq_accounting_is_whole = requires {
    { T::irq_enter_accounting() } -> std::same_as<void>;
    { T::irq_exit_accounting() } -> std::same_as<void>;
};
template <typename T>
concept return_capture_is_whole = requires(const return_image& image) {
    { T::capture_return(image) } -> std::same_as<void>;
};

/// True if T asks, by `static constexpr bool checks_counts = true`, that every change of the
/// preempt count is checked for overflow and underflow. It costs a load and a branch each time.
template <typename T>
inline constexpr bool checks_counts = [] {
    if constexpr (requires { T::checks_counts; })
        return bool{T::checks_counts};
    else
        return false;
}();

/// Fails to compile, naming the function, unless T fulfils the contract.
template <typename T>
consteval bool check_contract() {
    static_assert(has_preempt_count<T>, "nmisafe_platform lacks: static uint32_t preempt_count()");
    static_assert(has_add_preempt_count<T>,
                  "nmisafe_platform lacks: static void add_preempt_count(uint32_t delta)");
    static_assert(has_this_cpu<T>,
                  "nmisafe_platform lacks: static nmisafe::platform::cpu_state& this_cpu()");
    static_assert(has_panic<T>, "nmisafe_platform lacks: [[noreturn]] static void "
                                "panic(const nmisafe::platform::failure&)");
    static_assert(!has_lock_checker<T> || lock_checker_is_whole<T>,
                  "nmisafe_platform needs both or none: static void lock_checker_off(), static "
                  "void lock_checker_on()");
    static_assert(!has_irq_accounting<T> || irq_accounting_is_whole<T>,
                  "nmisafe_platform needs both or none: static void irq_enter_accounting(), static "
                  "void irq_exit_accounting()");
    static_assert(!has_return_capture<T> || return_capture_is_whole<T>,
                  "nmisafe_platform has the wrong: static void "
                  "capture_return(const nmisafe::platform::return_image&)");
    return true;
}

} // namespace nmisafe::platform
