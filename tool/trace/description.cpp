// SPDX-License-Identifier: MIT
#include "tool/trace/description.hpp"

#include <set>

namespace nmisafe::tool {

event_type to_event_type(const ctf::event& from) {
    event_type made{from.id, from.name, {}};
    for (std::size_t i = 0; i < from.field_count; ++i) {
        made.fields.push_back({from.fields[i].name, from.fields[i].type, from.fields[i].shown});
    }
    return made;
}

std::vector<event_type> read_table(const std::uint8_t* table, std::size_t length) {
    std::vector<event_type> found;
    const std::uint8_t* const end = table + length;
    ctf::found_event next;
    while (ctf::next_event(table, end, next)) {
        found.push_back(to_event_type(next.as_event()));
    }
    return found;
}

namespace {

std::string check_event(const event_type& one) {
    if (!ctf::is_identifier(one.name.c_str())) {
        return "the event name \"" + one.name + "\" is no identifier";
    }
    std::set<std::string> names;
    for (const field_type& field : one.fields) {
        if (!ctf::is_identifier(field.name.c_str())) {
            return "event " + one.name + ": the field name \"" + field.name + "\" is no identifier";
        }
        if (!names.insert(field.name).second) {
            return "event " + one.name + " has two fields " + field.name;
        }
    }
    return {};
}

} // namespace

std::string check_description(const trace_description& about) {
    if (about.frequency == 0) {
        return "the clock has 0 Hz";
    }
    std::set<std::uint32_t> ids;
    for (const event_type& one : about.events) {
        if (!ids.insert(one.id).second) {
            return "two events have the number " + std::to_string(one.id);
        }
        if (std::string why = check_event(one); !why.empty()) {
            return why;
        }
    }
    for (const std::string* text : {&about.tracer_name, &about.domain}) {
        if (text->find_first_of("\"\\\n") != std::string::npos ||
            text->find('\0') != std::string::npos) {
            return "a name in the environment has characters that are none of a name";
        }
    }
    return {};
}

} // namespace nmisafe::tool
