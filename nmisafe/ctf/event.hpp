// SPDX-License-Identifier: MIT
/// What an event is called and has in it, as constants of the program that writes it: from the same
/// table comes the metadata by which others read it.
///
///     constexpr ctf::field packet_fields[] = {{"length", ctf::kind::u32}, {"name",
///     ctf::kind::string}}; constexpr ctf::event packet{5, "net_packet", packet_fields};
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::ctf {

/// Of a field: little endian, at the byte that follows the last field.
enum class kind : uint8_t {
    u8,
    u16,
    u32,
    u64,
    i8,
    i16,
    i32,
    i64,
    string,
    addresses, ///< A byte that says how many, and so many of 64 bits: a chain of calls.
};
inline constexpr unsigned kind_count = 10;

/// How readers show an integer.
enum class base : uint8_t { octal = 8, decimal = 10, hexadecimal = 16 };

struct field {
    const char* name; ///< A C identifier; keywords of TSDL too.
    kind type;
    ctf::base shown = base::decimal;
};

/// The bytes it has in an event; 0: it varies, up to and with the first byte that is 0 (`string`),
/// or by its first byte (`addresses`).
constexpr uint32_t size_of(kind type) {
    switch (type) {
    case kind::u8:
    case kind::i8:
        return 1;
    case kind::u16:
    case kind::i16:
        return 2;
    case kind::u32:
    case kind::i32:
        return 4;
    case kind::u64:
    case kind::i64:
        return 8;
    case kind::string:
    case kind::addresses:
        return 0;
    }
    return 0;
}

constexpr bool is_signed(kind type) {
    return type >= kind::i8 && type <= kind::i64;
}

/// A C identifier, which is what readers take for a name.
constexpr bool is_identifier(const char* name) {
    if (*name == 0 || (*name >= '0' && *name <= '9'))
        return false;
    for (; *name != 0; ++name) {
        const bool is_letter = (*name | 0x20) >= 'a' && (*name | 0x20) <= 'z';
        if (!is_letter && !(*name >= '0' && *name <= '9') && *name != '_')
            return false;
    }
    return true;
}

/// What a CPU is doing when an event comes about, the innermost of what has interrupted what.
enum class context : uint8_t { thread, softirq, interrupt, trap, nmi, machine_check, debug };
inline constexpr const char* context_names[] = {"thread", "softirq",       "interrupt", "trap",
                                                "nmi",    "machine_check", "debug"};
inline constexpr unsigned context_count = 7;

/// The first bytes behind each event's header, where the trace has them.
struct event_context {
    ctf::context innermost;
    uint8_t depth; ///< How many contexts are interrupted: 0 in a thread.
};
static_assert(sizeof(event_context) == 2);

struct event {
    /// Not a constant, where it should be one: the names are no identifiers.
    template <size_t N>
    constexpr event(uint32_t number, const char* called, const field (&those)[N])
        : id(number), name(called), fields(those), field_count(N) {
        check();
    }
    constexpr event(uint32_t number, const char* called) : id(number), name(called) { check(); }

    /// Of what was found at run time: is_good() says whether the names are identifiers.
    constexpr event(uint32_t number, const char* called, const field* those, size_t count)
        : id(number), name(called), fields(those), field_count(count) {}

    constexpr bool is_good() const {
        bool result = is_identifier(name);
        for (size_t i = 0; i < field_count; ++i)
            result = result && is_identifier(fields[i].name);
        return result;
    }

    uint32_t id; ///< Of its own in the stream.
    const char* name;
    const field* fields = nullptr;
    size_t field_count = 0;

  private:
    constexpr void check() const {
        if (!is_good())
            __builtin_trap();
    }
};

} // namespace nmisafe::ctf
