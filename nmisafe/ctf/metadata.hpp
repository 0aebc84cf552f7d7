// SPDX-License-Identifier: MIT
/// The metadata of a trace, TSDL of CTF 1.8: what tells any reader how the packets and events of
/// ring_buffer are to be read. [ctf 1.8]
#pragma once

#include "nmisafe/ctf/event.hpp"
#include "nmisafe/ctf/text.hpp"

namespace nmisafe::ctf {

struct trace {
    uint8_t uuid[16] = {};     ///< As in the packets.
    uint32_t stream_id = 0;    ///< As in the packets.
    uint64_t frequency;        ///< Of the clock, in Hz.
    uint64_t clock_offset = 0; ///< The clock's units from 1970 to its 0.
    const char* tracer_name;   ///< In the environment, as is `domain`.
    const char* domain;        ///< "kernel" for readers that draw what a kernel does.
    bool has_context = false;  ///< Each event begins with an `event_context`.
};

/// @return whether all of it had room; `to.length()` says how long it is
/// @context any
bool write_metadata(text& to, const trace& about, const event* const* events, size_t event_count);

} // namespace nmisafe::ctf
