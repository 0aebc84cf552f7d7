// SPDX-License-Identifier: MIT
// The errors of the modules, as C has them.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/c/types.h"
#include "nmisafe/kprobe/probe_error.hpp"
#include "nmisafe/marker/marker.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::c_probes {

constexpr nmisafe_error translate(text_patch::patch_error why) {
    using enum text_patch::patch_error;
    switch (why) {
    case in_nmi:
        return NMISAFE_IN_NMI;
    case cannot_synchronise:
        return NMISAFE_CANNOT_SYNCHRONISE;
    case busy:
        return NMISAFE_BUSY;
    case no_room:
        return NMISAFE_NO_ROOM;
    case bad_size:
        return NMISAFE_BAD_SIZE;
    case no_probe:
        return NMISAFE_NO_PROBE;
    case not_text:
        return NMISAFE_NOT_TEXT;
    case unknown_instruction:
        return NMISAFE_UNKNOWN_INSTRUCTION;
    case bad_stub:
        return NMISAFE_BAD_STUB;
    case overlap:
        return NMISAFE_OVERLAP;
    case unexpected_bytes:
        return NMISAFE_UNEXPECTED_BYTES;
    case not_boundary:
        break;
    }
    return NMISAFE_NOT_BOUNDARY;
}

constexpr nmisafe_error translate(kprobe::probe_error why) {
    using enum kprobe::probe_error;
    switch (why) {
    case in_nmi:
        return NMISAFE_IN_NMI;
    case cannot_synchronise:
        return NMISAFE_CANNOT_SYNCHRONISE;
    case busy:
        return NMISAFE_BUSY;
    case wrong_state:
        return NMISAFE_WRONG_STATE;
    case no_probe:
        return NMISAFE_NO_PROBE;
    case not_text:
        return NMISAFE_NOT_TEXT;
    case unknown_instruction:
        return NMISAFE_UNKNOWN_INSTRUCTION;
    case not_boundary:
        return NMISAFE_NOT_BOUNDARY;
    case occupied:
        return NMISAFE_OCCUPIED;
    case unsupported:
        return NMISAFE_UNSUPPORTED;
    case no_slot:
        return NMISAFE_NO_SLOT;
    case bad_slot:
        return NMISAFE_BAD_SLOT;
    case out_of_range:
        return NMISAFE_OUT_OF_RANGE;
    case unexpected_bytes:
        break;
    }
    return NMISAFE_UNEXPECTED_BYTES;
}

constexpr nmisafe_error translate(marker::marker_error why) {
    using enum marker::marker_error;
    switch (why) {
    case no_marker:
        return NMISAFE_NO_MARKER;
    case format_mismatch:
        return NMISAFE_FORMAT_MISMATCH;
    case ambiguous:
        return NMISAFE_AMBIGUOUS;
    case probe_in_use:
        return NMISAFE_PROBE_IN_USE;
    case not_registered:
        return NMISAFE_NOT_REGISTERED;
    case in_nmi:
        return NMISAFE_IN_NMI;
    case cannot_synchronise:
        return NMISAFE_CANNOT_SYNCHRONISE;
    case busy:
        return NMISAFE_BUSY;
    case no_room:
        return NMISAFE_NO_ROOM;
    case not_patched:
        return NMISAFE_NOT_PATCHED;
    case range_in_use: // of tables that join, which C has no function for: never
    case not_joined:
    case bad_table:
    case bad_marker:
        break;
    }
    return NMISAFE_BAD_MARKER;
}

/// What a function of C returns.
template <typename T, typename Error>
constexpr nmisafe_error outcome(const base::expected<T, Error>& result) {
    return result.has_value() ? NMISAFE_OK : translate(result.error());
}

} // namespace nmisafe::c_probes
