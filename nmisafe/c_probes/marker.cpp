// SPDX-License-Identifier: MIT
#include "nmisafe/marker/marker.hpp"

#include "nmisafe/c/marker.h"
#include "nmisafe/c_probes/internal/translate.hpp"
#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/marker/words.hpp"

using namespace nmisafe;

namespace {

const marker::arguments& arguments_of(const nmisafe_arguments* values) {
    return *reinterpret_cast<const marker::arguments*>(values);
}

marker::probe& probe_of(nmisafe_probe* probe) {
    return *reinterpret_cast<marker::probe*>(probe);
}

/// Each marker of C knows its arguments. It is set before any registration.
bool is_set_up;

nmisafe_marker& in_c(const marker::marker& one) {
    return *reinterpret_cast<nmisafe_marker*>(const_cast<marker::marker*>(&one));
}

/// C has no compiler that reads formats, so its markers learn here what C++'s are made with.
void read_format(nmisafe_marker& which) {
    const marker::parsed_format parsed = marker::parse_format(which.format);
    if (which.count == parsed.count) // also all of C++
        return;
    auto* const types = const_cast<nmisafe_argument_type*>(which.types);
    for (size_t i = 0; i < parsed.count; ++i)
        types[i] = {static_cast<uint8_t>(parsed.types[i].kind), parsed.types[i].size,
                    parsed.types[i].base};
    which.count = parsed.count;
}

/// The bits that a value of this size has.
uint64_t narrowed(uint64_t value, uint8_t size) {
    const unsigned unused_bits = 64 - 8 * unsigned{size};
    return value << unused_bits >> unused_bits;
}

} // namespace

nmisafe_error nmisafe_marker_set_up(nmisafe_patch* workspace, size_t count) {
    for (const marker::marker& one : marker::all_markers{})
        if (marker::parse_format(one.format()).problem != marker::format_problem::none)
            return NMISAFE_BAD_MARKER;
    for (const marker::marker& one : marker::all_markers{})
        read_format(in_c(one));
    immediate::use_workspace(reinterpret_cast<text_patch::patch*>(workspace), count);
    is_set_up = true;
    return NMISAFE_OK;
}

nmisafe_error nmisafe_marker_register(const char* channel, const char* name, const char* format,
                                      nmisafe_probe* probe) {
    if (!is_set_up)
        return NMISAFE_NOT_SET_UP;
    return c_probes::outcome(marker::register_probe(channel, name, format, probe_of(probe)));
}

nmisafe_error nmisafe_marker_unregister(nmisafe_probe* probe) {
    return c_probes::outcome(marker::unregister_probe(probe_of(probe)));
}

nmisafe_error nmisafe_marker_synchronise(void) {
    return c_probes::outcome(marker::synchronise());
}

void nmisafe_for_each_marker(void (*visit)(const nmisafe_marker* which, void* argument),
                             void* argument) {
    for (const marker::marker& one : marker::all_markers{})
        visit(reinterpret_cast<const nmisafe_marker*>(&one), argument);
}

size_t nmisafe_argument_count(const nmisafe_arguments* values) {
    return arguments_of(values).size();
}

uint64_t nmisafe_argument(const nmisafe_arguments* values, size_t index) {
    return arguments_of(values)[index].as_unsigned();
}

int64_t nmisafe_signed_argument(const nmisafe_arguments* values, size_t index) {
    return arguments_of(values)[index].as_signed();
}

void nmisafe_marker_hit(const nmisafe_marker* which, const char* format, ...) {
    marker::hit_words words{};
    __builtin_va_list values; // <stdarg.h> is none of the nine headers
    __builtin_va_start(values, format);
    for (size_t i = 0; i < which->count && i < marker::most_arguments; ++i) {
        const nmisafe_argument_type type = which->types[i];
        if (type.kind == NMISAFE_POINTER || type.kind == NMISAFE_STRING)
            words[i] = __builtin_va_arg(values, uintptr_t);
        else if (type.size == 8)
            words[i] = __builtin_va_arg(values, uint64_t);
        else
            words[i] = narrowed(__builtin_va_arg(values, unsigned), type.size);
    }
    __builtin_va_end(values);
    marker::hit_with(*reinterpret_cast<const marker::marker*>(which), words);
}
