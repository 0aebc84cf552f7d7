// SPDX-License-Identifier: MIT
/// The statements under their short names. They are macros, so only who includes this has them.
///
///     trace_mark(net, packet, "len %u flags %x", packet.length, flags);
///     _trace_mark(net, lost, MARK_NOARGS);
#pragma once

#include "nmisafe/marker/statement.hpp"

#define MARK_NOARGS NMISAFE_MARK_NOARGS

// Not in terms of NMISAFE_TRACE_MARK: its comment on stringifying says why.
#define trace_mark(channel, name, format, ...)                                                     \
    NMISAFE_MARKER_STATEMENT(::nmisafe::immediate::branch<nmisafe_marker::on>(), #channel, #name,  \
                             format, __VA_ARGS__)
#define _trace_mark(channel, name, format, ...)                                                    \
    NMISAFE_MARKER_STATEMENT(nmisafe_marker::on.stored(), #channel, #name, format, __VA_ARGS__)
