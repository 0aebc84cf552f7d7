// SPDX-License-Identifier: MIT
// The calls that a sample has found.
#pragma once

#include <string>
#include <vector>

#include "tool/symbols/symbols.hpp"
#include "tool/trace/event.hpp"

namespace nmisafe::tool {

struct chain_frame {
    std::string name; // of the function, or the address
    std::string file; // of the source, may be empty
    int line = 0;

    auto operator<=>(const chain_frame&) const = default;
};

// Whether it has one: a field of ctf::kind::addresses.
bool has_chain(const event_type& type);

// The event's chain, outermost first: its field `ip`, if it has one, and then its addresses, which are
// innermost first, each of them behind the call.
std::vector<chain_frame> chain_of(const trace_event& event, symbols& names);

} // namespace nmisafe::tool
