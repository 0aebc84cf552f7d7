// SPDX-License-Identifier: MIT
/// The fields of typed events: what each takes as an argument, and how it is written.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/ctf/event.hpp"
#include "nmisafe/marker/format.hpp"

namespace nmisafe::tracer {

/// The addresses of a chain of calls. The rest of too long a one is left out.
struct chain {
    const uintptr_t* addresses;
    size_t count;
};

namespace internal {

using marker::fixed_string;

/// At any byte.
template <typename T>
struct [[gnu::packed, gnu::may_alias]] packed {
    T value;
};

template <typename T>
[[NMISAFE_TRAP_INLINE]] inline uint8_t* put(uint8_t* to, T value) {
    reinterpret_cast<packed<T>*>(to)->value = value;
    return to + sizeof value;
}

/// Text that was measured. Whoever has the original may change it meanwhile.
struct measured_text {
    const char* text;
    uint32_t length; // without the 0

    [[NMISAFE_TRAP_INLINE]] static measured_text make(const char* text, uint32_t most) {
        uint32_t length = 0;
        if (text != nullptr)
            for (; length < most && __atomic_load_n(text + length, __ATOMIC_RELAXED) != 0; ++length)
                asm volatile(""); // not strlen(): there is none
        return {text, length};
    }

    [[NMISAFE_TRAP_INLINE]] uint32_t size() const { return length + 1; }

    /// All of the bytes that were reserved, whatever has become of the text: a 0 among them would
    /// end it for readers, who would take the rest for the next field.
    [[NMISAFE_TRAP_INLINE]] uint8_t* write(uint8_t* to) const {
        constexpr char in_place_of_0 = '?';
        for (uint32_t i = 0; i < length; ++i) {
            const char one = __atomic_load_n(text + i, __ATOMIC_RELAXED);
            *to++ = static_cast<uint8_t>(one != 0 ? one : in_place_of_0);
            asm volatile("" : : : "memory"); // not memcpy()
        }
        *to++ = 0;
        return to;
    }
};

struct measured_chain {
    const uintptr_t* addresses;
    uint8_t count;

    [[NMISAFE_TRAP_INLINE]] uint32_t size() const {
        return 1 + uint32_t{count} * uint32_t{sizeof(uint64_t)};
    }
    [[NMISAFE_TRAP_INLINE]] uint8_t* write(uint8_t* to) const {
        *to++ = count;
        for (uint32_t i = 0; i < count; ++i) {
            to = put(to, uint64_t{addresses[i]});
            asm volatile("" : : : "memory");
        }
        return to;
    }
};

template <typename T>
struct plain {
    T value;

    [[NMISAFE_TRAP_INLINE]] static constexpr uint32_t size() { return sizeof(T); }
    [[NMISAFE_TRAP_INLINE]] uint8_t* write(uint8_t* to) const { return put(to, value); }
};

template <ctf::kind Kind>
struct value_of;
template <>
struct value_of<ctf::kind::u8> {
    using type = uint8_t;
};
template <>
struct value_of<ctf::kind::u16> {
    using type = uint16_t;
};
template <>
struct value_of<ctf::kind::u32> {
    using type = uint32_t;
};
template <>
struct value_of<ctf::kind::u64> {
    using type = uint64_t;
};
template <>
struct value_of<ctf::kind::i8> {
    using type = int8_t;
};
template <>
struct value_of<ctf::kind::i16> {
    using type = int16_t;
};
template <>
struct value_of<ctf::kind::i32> {
    using type = int32_t;
};
template <>
struct value_of<ctf::kind::i64> {
    using type = int64_t;
};

} // namespace internal

/// An integer. It takes integers, enums and pointers that are not larger; only the size counts, as
/// in printf: a literal 0 is an int, and is welcome to an unsigned field.
template <internal::fixed_string Name, ctf::kind Kind, ctf::base Shown = ctf::base::decimal>
struct integer {
    using argument = typename internal::value_of<Kind>::type;
    static constexpr ctf::field description{Name.text, Kind, Shown};

    template <typename T>
    static constexpr bool takes = (std::is_integral_v<T> || std::is_enum_v<T> ||
                                   std::is_pointer_v<T>)&&sizeof(T) <= sizeof(argument);

    template <typename T>
    [[NMISAFE_TRAP_INLINE]] static argument convert(T value) {
        if constexpr (std::is_pointer_v<T>)
            return static_cast<argument>(reinterpret_cast<uintptr_t>(value));
        else
            return static_cast<argument>(value);
    }
    [[NMISAFE_TRAP_INLINE]] static internal::plain<argument> prepare(argument value) {
        return {value};
    }
};

template <internal::fixed_string Name>
using u8 = integer<Name, ctf::kind::u8>;
template <internal::fixed_string Name>
using u16 = integer<Name, ctf::kind::u16>;
template <internal::fixed_string Name>
using u32 = integer<Name, ctf::kind::u32>;
template <internal::fixed_string Name>
using u64 = integer<Name, ctf::kind::u64>;
template <internal::fixed_string Name>
using i8 = integer<Name, ctf::kind::i8>;
template <internal::fixed_string Name>
using i16 = integer<Name, ctf::kind::i16>;
template <internal::fixed_string Name>
using i32 = integer<Name, ctf::kind::i32>;
template <internal::fixed_string Name>
using i64 = integer<Name, ctf::kind::i64>;
template <internal::fixed_string Name>
using hex32 = integer<Name, ctf::kind::u32, ctf::base::hexadecimal>;
/// Addresses too, of either width.
template <internal::fixed_string Name>
using hex64 = integer<Name, ctf::kind::u64, ctf::base::hexadecimal>;

/// Text of so many characters at most; the rest is left out. Null is written as no character.
template <internal::fixed_string Name, uint32_t Most>
struct string {
    using argument = const char*;
    static constexpr ctf::field description{Name.text, ctf::kind::string};

    template <typename T>
    static constexpr bool takes = std::is_same_v<T, const char*> || std::is_same_v<T, char*>;

    [[NMISAFE_TRAP_INLINE]] static argument convert(const char* value) { return value; }
    [[NMISAFE_TRAP_INLINE]] static internal::measured_text prepare(argument value) {
        return internal::measured_text::make(value, Most);
    }
};

/// A chain of calls of so many addresses at most.
template <internal::fixed_string Name, uint8_t Most>
struct addresses {
    using argument = chain;
    static constexpr ctf::field description{Name.text, ctf::kind::addresses};

    template <typename T>
    static constexpr bool takes = std::is_same_v<T, chain>;

    [[NMISAFE_TRAP_INLINE]] static argument convert(chain value) { return value; }
    [[NMISAFE_TRAP_INLINE]] static internal::measured_chain prepare(argument value) {
        return {value.addresses, value.count < Most ? static_cast<uint8_t>(value.count) : Most};
    }
};

} // namespace nmisafe::tracer
