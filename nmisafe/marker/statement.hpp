// SPDX-License-Identifier: MIT
/// The statements that are markers.
///
///     NMISAFE_TRACE_MARK(net, packet, "len %u flags %x", packet.length, flags);
///
/// While no probe is registered that is a 5-byte NOP, and the arguments are not evaluated.
/// NMISAFE_TRACE_MARK_LOAD is the same without an immediate value: it loads a flag and tests it.
/// trace_mark.hpp has shorter names for both.
///
/// Channel and name are written without quotes. Arguments that do not fit the format, one for one,
/// are compile errors. Anywhere in a function: inline and template functions too.
#pragma once

#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/marker/format.hpp"
#include "nmisafe/marker/internal/hits.hpp"
#include "nmisafe/marker/marker.hpp"
#include "nmisafe/marker/x86/record.hpp"

/// The format of a marker without arguments: an empty one is most likely a mistake.
#define NMISAFE_MARK_NOARGS " "

// Both stringify right here: one macro further in, a channel that is a macro's name would come out
// as what that macro stands for.
#define NMISAFE_TRACE_MARK(channel, name, format, ...)                                             \
    NMISAFE_MARKER_STATEMENT(::nmisafe::immediate::branch<nmisafe_marker::on>(), #channel, #name,  \
                             format, __VA_ARGS__)
#define NMISAFE_TRACE_MARK_LOAD(channel, name, format, ...)                                        \
    NMISAFE_MARKER_STATEMENT(nmisafe_marker::on.stored(), #channel, #name, format, __VA_ARGS__)

#define NMISAFE_MARKER_STATEMENT(is_on, channel, name, format, ...)                                \
    do {                                                                                           \
        using nmisafe_marker = ::nmisafe::marker::internal::declared<channel, name, format>;       \
        if (is_on) [[unlikely]]                                                                    \
            ::nmisafe::marker::internal::call<nmisafe_marker>(__VA_ARGS__);                        \
    } while (false)

namespace nmisafe::marker::internal {

template <fixed_string Format>
consteval parsed_format parse_checked() {
    constexpr parsed_format parsed = parse_format(Format.text);
    static_assert(sizeof Format.text > 1, "the format of a marker is empty: use "
                                          "NMISAFE_MARK_NOARGS");
    static_assert(parsed.problem != format_problem::bad_conversion,
                  "a conversion in the format of a marker is not one of d i u x X o c p s");
    static_assert(parsed.problem != format_problem::too_many_arguments,
                  "the format of a marker has too many arguments");
    return parsed;
}

/// One marker: whatever statements name it share this.
///
/// Hidden: clang takes no address of a symbol that another object could replace as an immediate
/// operand of position-independent code.
template <fixed_string Channel, fixed_string Name, fixed_string Format>
struct declared {
    static constexpr parsed_format parsed = parse_checked<Format>();
    [[gnu::visibility("hidden")]] static inline constinit immediate::immediate<bool> on{};
    [[gnu::visibility("hidden")]] static inline constinit marker instance{
        Channel.text, Name.text, Format.text, parsed.types, parsed.count, on};
};

/// Not inlined, so that the marker is recorded once.
template <typename Declared>
[[gnu::noinline, gnu::cold]] void drop() {
    record<Declared::instance>();
    count_dropped();
}

template <typename Declared, size_t... Index, typename... Arguments>
[[gnu::always_inline]] inline void encode_and_hit(std::index_sequence<Index...>,
                                                  Arguments... values) {
    constexpr bool all_fit = (fits<Arguments>(Declared::parsed.types[Index]) && ...);
    static_assert(all_fit, "an argument of a marker does not fit its conversion in the format");
    if constexpr (all_fit) {
        const argument_block<sizeof...(values)> block(
            Declared::instance, encode(values, Declared::parsed.types[Index])...);
        if (!hits::call(Declared::instance, block.head)) [[unlikely]]
            drop<Declared>();
    }
}

/// The arguments by value, as printf's: arrays become pointers, bit-fields and packed members are
/// welcome.
template <typename Declared, typename... Arguments>
[[gnu::always_inline]] inline void call(Arguments... values) {
    static_assert(sizeof...(values) >= Declared::parsed.count,
                  "the format of a marker has more conversions than there are arguments");
    static_assert(sizeof...(values) <= Declared::parsed.count,
                  "the format of a marker has fewer conversions than there are arguments");
    if constexpr (sizeof...(values) == Declared::parsed.count)
        encode_and_hit<Declared>(std::index_sequence_for<Arguments...>{}, values...);
}

} // namespace nmisafe::marker::internal
