// SPDX-License-Identifier: MIT
/// The platform contract in the compiler's words: what a kernel must have, and what it may have.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/frame_layout.hpp"
#include "nmisafe/platform/return_image.hpp"
#include "nmisafe/x86/paging.hpp"

namespace nmisafe::tracer {
struct cpu;
}

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
concept has_add_preempt_byte = requires {
    &T::add_preempt_byte;
};
template <typename T>
concept has_return_capture = requires {
    &T::capture_return;
};
template <typename T>
concept has_end_of_section = requires {
    &T::end_section;
};

/// A frame of the embedder's own: platform/frame.hpp.
template <typename T>
concept has_frame = requires {
    typename T::frame;
}
|| requires {
    T::layout_of_frame;
};
template <typename T>
concept frame_is_whole = requires {
    typename T::frame;
    requires std::same_as<std::remove_cv_t<decltype(T::layout_of_frame)>, frame_layout>;
};
template <typename T>
concept has_note_return_address = requires(typename T::frame& frame) {
    { T::note_return_address(frame) } -> std::same_as<void>;
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
concept add_preempt_byte_is_whole = requires(uint8_t delta) {
    { T::add_preempt_byte(delta) } -> std::same_as<bool>;
};
template <typename T>
concept return_capture_is_whole = requires(const return_image& image) {
    { T::capture_return(image) } -> std::same_as<void>;
};

template <typename T>
concept end_of_section_is_whole = requires(uint32_t delta) {
    { T::end_section(delta) } -> std::same_as<void>;
};

// Text patching. Required of who uses the module text_patch, and of nobody else.

template <typename T>
concept has_write_text = requires(uintptr_t address, const uint8_t* bytes, size_t size) {
    { T::write_text(address, bytes, size) } -> std::same_as<void>;
};
template <typename T>
concept has_read_text = requires(uintptr_t address, uint8_t* bytes, size_t size) {
    { T::read_text(address, bytes, size) } -> std::same_as<void>;
};
template <typename T>
concept has_is_text = requires(uintptr_t begin, uintptr_t end) {
    { T::is_text(begin, end) } -> std::same_as<bool>;
};
template <typename T>
concept has_is_no_probe = requires(uintptr_t begin, uintptr_t end) {
    { T::is_no_probe(begin, end) } -> std::same_as<bool>;
};
template <typename T>
concept has_may_synchronise = requires {
    { T::may_synchronise() } -> std::same_as<bool>;
};
template <typename T>
concept has_synchronise_cpus = requires {
    { T::synchronise_cpus() } -> std::same_as<void>;
};

// Markers. Required of who uses the module marker, and of nobody else.

template <typename T>
concept has_wait_for_grace_period = requires {
    { T::wait_for_grace_period() } -> std::same_as<void>;
};

// Traces. Required of who uses the module tracer, and of nobody else.

template <typename T>
concept has_tracer_cpu = requires {
    { T::tracer_cpu() } -> std::same_as<tracer::cpu&>;
};

// Mappings. Required of who uses the module vmalloc, and of nobody else.

template <typename T>
concept has_paging = std::same_as<std::remove_cv_t<decltype(T::paging)>, x86::paging_mode>;
template <typename T>
concept has_kernel_top_table = requires {
    { T::kernel_top_table() } -> std::same_as<uint64_t>;
};
template <typename T>
concept has_page_at = requires(uint64_t physical) {
    { T::page_at(physical) } -> std::same_as<void*>;
};
template <typename T>
concept has_allocate_page = requires {
    { T::allocate_page() } -> std::same_as<uint64_t>;
};
template <typename T>
concept has_free_page = requires(uint64_t physical) {
    { T::free_page(physical) } -> std::same_as<void>;
};
template <typename T>
concept has_has_no_execute = requires {
    { T::has_no_execute() } -> std::same_as<bool>;
};
template <typename T>
concept has_flush_tlb = requires(uintptr_t begin, uintptr_t end) {
    { T::flush_tlb(begin, end) } -> std::same_as<void>;
};
template <typename T>
concept has_mapping_lock = requires {
    { T::lock_mappings() } -> std::same_as<void>;
    { T::unlock_mappings() } -> std::same_as<void>;
};
template <typename T>
concept has_for_each_top_table = requires(void (*function)(uint64_t, void*), void* argument) {
    { T::for_each_top_table(function, argument) } -> std::same_as<void>;
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

/// True if T asks, by `static constexpr bool writes_text_twice = true`, that changed code is
/// written again after each synchronisation. Real CPUs need no such thing, QEMU does.
template <typename T>
inline constexpr bool writes_text_twice = [] {
    if constexpr (requires { T::writes_text_twice; })
        return bool{T::writes_text_twice};
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
    static_assert(!has_add_preempt_byte<T> || add_preempt_byte_is_whole<T>,
                  "nmisafe_platform has the wrong: static bool add_preempt_byte(uint8_t delta)");
    static_assert(!has_return_capture<T> || return_capture_is_whole<T>,
                  "nmisafe_platform has the wrong: static void "
                  "capture_return(const nmisafe::platform::return_image&)");
    static_assert(!has_end_of_section<T> || end_of_section_is_whole<T>,
                  "nmisafe_platform has the wrong: static void end_section(uint32_t delta)");
    static_assert(!has_frame<T> || frame_is_whole<T>,
                  "nmisafe_platform needs both or none: using frame, static constexpr "
                  "nmisafe::platform::frame_layout layout_of_frame");
#ifdef NMISAFE_SHADOW_STACK
    if constexpr (has_frame<T>)
        static_assert(has_note_return_address<T>, "nmisafe_platform has a frame of its own, and "
                                                  "with NMISAFE_SHADOW_STACK lacks: static void "
                                                  "note_return_address(frame&)");
#endif
    return true;
}

/// The same for what the module text_patch needs beside the above.
template <typename T>
consteval bool check_text_contract() {
    static_assert(has_write_text<T>, "nmisafe_platform lacks: static void write_text(uintptr_t "
                                     "address, const uint8_t* bytes, size_t size)");
    static_assert(has_read_text<T>, "nmisafe_platform lacks: static void read_text(uintptr_t "
                                    "address, uint8_t* bytes, size_t size)");
    static_assert(has_is_text<T>,
                  "nmisafe_platform lacks: static bool is_text(uintptr_t begin, uintptr_t end)");
    static_assert(has_is_no_probe<T>, "nmisafe_platform lacks: static bool is_no_probe(uintptr_t "
                                      "begin, uintptr_t end)");
    static_assert(has_may_synchronise<T>, "nmisafe_platform lacks: static bool may_synchronise()");
    static_assert(has_synchronise_cpus<T>,
                  "nmisafe_platform lacks: static void synchronise_cpus()");
    return true;
}

/// The same for what the module marker needs beside the above.
template <typename T>
consteval bool check_marker_contract() {
    static_assert(has_wait_for_grace_period<T>,
                  "nmisafe_platform lacks: static void wait_for_grace_period()");
    return true;
}

/// The same for what the module tracer needs beside the above.
template <typename T>
consteval bool check_tracer_contract() {
    static_assert(has_tracer_cpu<T>,
                  "nmisafe_platform lacks: static nmisafe::tracer::cpu& tracer_cpu()");
    return true;
}

/// The same for what the module vmalloc needs beside the first of all.
template <typename T>
consteval bool check_vmalloc_contract() {
    static_assert(has_paging<T>,
                  "nmisafe_platform lacks: static constexpr nmisafe::x86::paging_mode paging");
    static_assert(has_kernel_top_table<T>,
                  "nmisafe_platform lacks: static uint64_t kernel_top_table()");
    static_assert(has_page_at<T>,
                  "nmisafe_platform lacks: static void* page_at(uint64_t physical)");
    static_assert(has_allocate_page<T>, "nmisafe_platform lacks: static uint64_t allocate_page()");
    static_assert(has_free_page<T>,
                  "nmisafe_platform lacks: static void free_page(uint64_t physical)");
    static_assert(has_has_no_execute<T>, "nmisafe_platform lacks: static bool has_no_execute()");
    static_assert(has_may_synchronise<T>, "nmisafe_platform lacks: static bool may_synchronise()");
    static_assert(has_flush_tlb<T>, "nmisafe_platform lacks: static void flush_tlb(uintptr_t "
                                    "begin, uintptr_t end)");
    static_assert(has_mapping_lock<T>, "nmisafe_platform lacks: static void lock_mappings(), "
                                       "static void unlock_mappings()");
    static_assert(
        has_for_each_top_table<T>,
        "nmisafe_platform lacks: static void for_each_top_table(void (*function)(uint64_t "
        "top_table, void* argument), void* argument)");
    return true;
}

} // namespace nmisafe::platform
