// SPDX-License-Identifier: MIT
/// printf's formats, read by the compiler: which arguments a format wants, and whether an argument
/// is one.
///
/// As printf's, but for `*`, %n and floating point, which a probe in an NMI handler could not do
/// anything with. Of an integer only the size counts, after promotion to int, as the compiler's own
/// check has it without -Wformat-signedness; %lu takes whatever is as large as a long.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/marker/argument.hpp"

namespace nmisafe::marker {

/// A string literal as a template argument.
template <size_t Size>
struct fixed_string {
    char text[Size];

    consteval fixed_string(const char (&literal)[Size]) : text{} {
        for (size_t i = 0; i < Size; ++i)
            text[i] = literal[i];
    }
};

inline constexpr size_t most_arguments = 16;

enum class format_problem : uint8_t {
    none = 0,
    bad_conversion,     ///< A % that begins no conversion known here, or one with a `*`.
    too_many_arguments, ///< More than most_arguments.
};

/// What a format says.
struct parsed_format {
    format_problem problem;
    uint8_t count;
    argument_type types[most_arguments];
};

namespace internal {

constexpr bool is_one_of(char one, const char* set) {
    for (; *set != 0; ++set)
        if (*set == one)
            return true;
    return false;
}

/// Reads what stands between % and the conversion's letter, but for the length modifier.
constexpr const char* skip_flags_and_width(const char* at) {
    while (is_one_of(*at, "-+ #0"))
        ++at;
    while (is_one_of(*at, "0123456789"))
        ++at;
    if (*at != '.')
        return at;
    ++at;
    while (is_one_of(*at, "0123456789"))
        ++at;
    return at;
}

/// Reads a length modifier and moves behind it; 0 if there is none.
constexpr uint8_t read_length(const char*& at) {
    const char first = *at;
    if (!is_one_of(first, "hlzjt"))
        return 0;
    ++at;
    const bool twice = (first == 'h' || first == 'l') && *at == first;
    if (twice)
        ++at;
    switch (first) {
    case 'h':
        return twice ? 1 : 2;
    case 'l':
        return twice ? 8 : sizeof(long);
    case 'z':
        return sizeof(size_t);
    case 't':
        return sizeof(ptrdiff_t);
    default:
        return sizeof(intmax_t);
    }
}

/// The type that a conversion's letter stands for; kind 0 if there is none such.
constexpr argument_type type_of(char letter, uint8_t length) {
    const uint8_t size = length != 0 ? length : uint8_t{sizeof(int)};
    switch (letter) {
    case 'd':
    case 'i':
        return {argument_kind::signed_integer, size, 10};
    case 'u':
        return {argument_kind::unsigned_integer, size, 10};
    case 'x':
    case 'X':
        return {argument_kind::unsigned_integer, size, 16};
    case 'o':
        return {argument_kind::unsigned_integer, size, 8};
    default:
        break;
    }
    if (length != 0)
        return {};
    switch (letter) {
    case 'c':
        return {argument_kind::character, 1, 0};
    case 'p':
        return {argument_kind::pointer, sizeof(void*), 16};
    case 's':
        return {argument_kind::string, sizeof(char*), 0};
    default:
        return {};
    }
}

constexpr argument_type read_conversion(const char*& at) {
    at = skip_flags_and_width(at);
    const uint8_t length = read_length(at);
    const argument_type type = type_of(*at, length);
    if (*at != 0)
        ++at;
    return type;
}

} // namespace internal

/// Finds the next conversion: `begin` is its %, `at` moves behind it. A type of kind 0: it is none
/// that is known here. Not by a null pointer: with -fsanitize=undefined g++ takes no comparison with
/// one for a constant. @return false: there is none @context any
constexpr bool next_conversion(const char*& at, const char*& begin, argument_type& type) {
    while (*at != 0) {
        begin = at;
        if (*at++ != '%')
            continue;
        if (*at == '%') {
            ++at;
            continue;
        }
        type = internal::read_conversion(at);
        return true;
    }
    return false;
}

/// Reads a format. @context any
constexpr parsed_format parse_format(const char* format) {
    parsed_format result{};
    argument_type type{};
    const char* begin = nullptr;
    for (const char* at = format; next_conversion(at, begin, type);) {
        if (type == argument_type{}) {
            result.problem = format_problem::bad_conversion;
            return result;
        }
        if (result.count == most_arguments) {
            result.problem = format_problem::too_many_arguments;
            return result;
        }
        result.types[result.count++] = type;
    }
    return result;
}

/// Whether an argument of type T, an array already decayed to a pointer, is what the format wants.
template <typename T>
constexpr bool fits(argument_type wanted) {
    switch (wanted.kind) {
    case argument_kind::pointer:
        return std::is_pointer_v<T> || std::is_null_pointer_v<T>;
    case argument_kind::string:
        return std::is_same_v<T, char*> || std::is_same_v<T, const char*>;
    case argument_kind::signed_integer:
    case argument_kind::unsigned_integer:
    case argument_kind::character:
        break;
    }
    constexpr size_t promoted = sizeof(T) < sizeof(int) ? sizeof(int) : sizeof(T);
    return (std::is_integral_v<T> || std::is_enum_v<T>)&&promoted ==
           (wanted.size < sizeof(int) ? sizeof(int) : wanted.size);
}

/// An argument's bits, as class argument holds them. @context any
template <typename T>
[[gnu::always_inline]] constexpr uint64_t encode(T value, argument_type type) {
    if constexpr (std::is_null_pointer_v<T>) {
        return 0;
    } else if constexpr (std::is_pointer_v<T>) {
        return reinterpret_cast<uintptr_t>(value);
    } else {
        const uint64_t unused_bits = 64 - 8 * uint64_t{type.size};
        return static_cast<uint64_t>(value) << unused_bits >> unused_bits;
    }
}

} // namespace nmisafe::marker
