// SPDX-License-Identifier: MIT
#include "tool/convert/chains.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nmisafe::tool {

namespace {

chain_frame frame_at(std::uint64_t address, std::uint64_t shown, std::uint64_t time,
                     symbols& names) {
    const place_in_code& found = names.find(address, time);
    chain_frame made{found.function, found.file, found.line};
    if (made.name.empty()) {
        made.name = fmt::format("{:#x}", shown);
    }
    return made;
}

} // namespace

bool has_chain(const event_type& type) {
    return std::any_of(type.fields.begin(), type.fields.end(),
                       [](const field_type& field) { return field.type == ctf::kind::addresses; });
}

std::vector<chain_frame> chain_of(const trace_event& event, symbols& names) {
    std::vector<chain_frame> chain;
    field_reader fields(event);
    bool has_ip = false;
    std::uint64_t ip = 0;
    for (const field_type& field : event.type->fields) {
        const field_value value = fields.next(field.type);
        if (field.name == "ip") {
            has_ip = true;
            ip = value.number;
            chain.push_back(frame_at(ip, ip, event.time, names));
        } else if (field.type == ctf::kind::addresses) {
            for (std::size_t i = 0; i < value.address_count(); ++i) {
                const std::uint64_t address = value.address(i);
                if (i == 0 && has_ip && address == ip) {
                    continue; // the chain begins with the instruction itself
                }
                chain.push_back(frame_at(address - 1, address, event.time, names));
            }
        }
    }
    std::reverse(chain.begin(), chain.end());
    return chain;
}

} // namespace nmisafe::tool
