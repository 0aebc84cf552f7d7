// SPDX-License-Identifier: MIT
// CTF 2: JSON texts, each behind a byte 0x1e. The layout of packets and of events' headers is the one
// that ring_buffer writes: reading compares it with what would be written.
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "tool/trace/metadata.hpp"

namespace nmisafe::tool {

namespace {

using json = nlohmann::ordered_json;

constexpr char record_separator = 0x1e;
constexpr const char* clock_id = "trace_clock";

json integer(unsigned bits, bool is_signed = false) {
    return {{"type", is_signed ? "fixed-length-signed-integer" : "fixed-length-unsigned-integer"},
            {"length", bits},
            {"byte-order", "little-endian"},
            {"alignment", bits % 8 == 0 ? 8 : 1}};
}

json with_role(json field_class, const char* role) {
    field_class["roles"] = json::array({role});
    return field_class;
}

json member(const std::string& name, const json& field_class) {
    return {{"name", name}, {"field-class", field_class}};
}

json structure(const json& members) {
    return {{"type", "structure"}, {"minimum-alignment", 8}, {"member-classes", members}};
}

json header_of_packets() {
    const json uuid{{"type", "static-length-blob"},
                    {"length", 16},
                    {"roles", json::array({"metadata-stream-uuid"})}};
    return structure({member("magic", with_role(integer(32), "packet-magic-number")),
                      member("uuid", uuid),
                      member("stream_id", with_role(integer(32), "data-stream-class-id"))});
}

json packet_context() {
    return structure(
        {member("timestamp_begin", with_role(integer(64), "default-clock-timestamp")),
         member("timestamp_end", with_role(integer(64), "packet-end-default-clock-timestamp")),
         member("content_size", with_role(integer(64), "packet-content-length")),
         member("packet_size", with_role(integer(64), "packet-total-length")),
         member("packet_seq_num", with_role(integer(64), "packet-sequence-number")),
         member("events_discarded",
                with_role(integer(64), "discarded-event-record-counter-snapshot")),
         member("lost_full", integer(64)), member("lost_wrap", integer(64)),
         member("lost_too_big", integer(64)), member("lost_nesting", integer(64)),
         member("cpu_id", integer(32))});
}

json event_header() {
    json id = with_role(integer(5), "event-record-class-id");
    id["mappings"] = {{"compact", json::array({json::array({0, 30})})},
                      {"extended", json::array({json::array({31, 31})})}};
    const json compact = structure(
        json::array({member("timestamp", with_role(integer(27), "default-clock-timestamp"))}));
    json packed = compact;
    packed["minimum-alignment"] = 1; // its 27 bits follow the 5 of the id
    const json extended =
        structure({member("id", with_role(integer(32), "event-record-class-id")),
                   member("timestamp", with_role(integer(64), "default-clock-timestamp"))});
    const auto option = [](const char* name, int from, int to, const json& field_class) {
        return json{{"name", name},
                    {"selector-field-ranges", json::array({json::array({from, to})})},
                    {"field-class", field_class}};
    };
    const json variant{{"type", "variant"},
                       {"selector-field-location",
                        {{"origin", "event-record-header"}, {"path", json::array({"id"})}}},
                       {"options", json::array({option("compact", 0, 30, packed),
                                                option("extended", 31, 31, extended)})}};
    return structure({member("id", id), member("v", variant)});
}

json event_context() {
    json context = integer(8);
    for (unsigned i = 0; i < ctf::context_count; ++i) {
        context["mappings"][ctf::context_names[i]] = json::array({json::array({i, i})});
    }
    return structure({member("context", context), member("depth", integer(8))});
}

json stream_class(const trace_description& about) {
    json made{{"type", "data-stream-class"},
              {"id", about.stream_id},
              {"default-clock-class-id", clock_id},
              {"packet-context-field-class", packet_context()},
              {"event-record-header-field-class", event_header()}};
    if (about.has_context) {
        made["event-record-common-context-field-class"] = event_context();
    }
    return made;
}

std::string length_name(const std::string& field) {
    return "_" + field + "_length"; // as readers of the TSDL show it
}

void add_members(const field_type& field, json& members) {
    if (field.type == ctf::kind::string) {
        members.push_back(member(field.name, {{"type", "null-terminated-string"}}));
    } else if (field.type == ctf::kind::addresses) {
        json element = integer(64);
        element["preferred-display-base"] = 16;
        members.push_back(member(length_name(field.name), integer(8)));
        members.push_back(
            member(field.name, {{"type", "dynamic-length-array"},
                                {"element-field-class", element},
                                {"length-field-location",
                                 {{"origin", "event-record-payload"},
                                  {"path", json::array({length_name(field.name)})}}}}));
    } else {
        json made = integer(8 * ctf::size_of(field.type), ctf::is_signed(field.type));
        made["preferred-display-base"] = static_cast<unsigned>(field.shown);
        members.push_back(member(field.name, made));
    }
}

json event_class(const event_type& one, std::uint32_t stream_id) {
    json members = json::array();
    for (const field_type& field : one.fields) {
        add_members(field, members);
    }
    return {{"type", "event-record-class"},
            {"id", one.id},
            {"data-stream-class-id", stream_id},
            {"name", one.name},
            {"payload-field-class", structure(members)}};
}

// Reading: whatever is missing or of another kind throws.

[[noreturn]] void reject(const std::string& why) {
    throw trace_error(why);
}

const json& part(const json& of, const char* name) {
    const auto found = of.is_object() ? of.find(name) : of.end();
    if (!of.is_object() || found == of.end()) {
        reject(std::string(name) + " is missing");
    }
    return *found;
}

std::uint64_t number(const json& of, const char* name,
                     std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
    const json& found = part(of, name);
    if (!found.is_number_unsigned() || found.get<std::uint64_t>() > most) {
        reject(std::string(name) + " is no number, or too large");
    }
    return found.get<std::uint64_t>();
}

std::string text(const json& of, const char* name) {
    const json& found = part(of, name);
    if (!found.is_string()) {
        reject(std::string(name) + " is no text");
    }
    return found.get<std::string>();
}

constexpr std::uint32_t most_32 = std::numeric_limits<std::uint32_t>::max();

void read_preamble(const json& from, trace_description& to) {
    if (number(from, "version") != 2) {
        reject("it is not version 2 of CTF");
    }
    const json& uuid = part(from, "uuid");
    if (!uuid.is_array() || uuid.size() != to.uuid.size()) {
        reject("the UUID has not 16 bytes");
    }
    for (std::size_t i = 0; i < to.uuid.size(); ++i) {
        if (!uuid[i].is_number_unsigned() || uuid[i].get<std::uint64_t>() > 255) {
            reject("the UUID has not 16 bytes");
        }
        to.uuid[i] = uuid[i].get<std::uint8_t>();
    }
}

void read_trace_class(const json& from, trace_description& to) {
    if (part(from, "packet-header-field-class") != header_of_packets()) {
        reject("its packets' headers are laid out in another way than nmisafe's: a foreign trace");
    }
    const json& environment = part(from, "environment");
    to.tracer_name = text(environment, "tracer_name");
    to.domain = text(environment, "domain");
}

void read_clock(const json& from, trace_description& to) {
    to.frequency = number(from, "frequency");
    const json& offset = part(from, "offset-from-origin");
    const std::uint64_t seconds = number(offset, "seconds");
    if (to.frequency != 0 && seconds > std::numeric_limits<std::uint64_t>::max() / to.frequency) {
        reject("the clock's offset is too large");
    }
    to.clock_offset = seconds * to.frequency + number(offset, "cycles");
}

void read_stream(const json& from, trace_description& to) {
    to.stream_id = static_cast<std::uint32_t>(number(from, "id", most_32));
    to.has_context = from.contains("event-record-common-context-field-class");
    if (part(from, "packet-context-field-class") != packet_context() ||
        part(from, "event-record-header-field-class") != event_header() ||
        (to.has_context &&
         part(from, "event-record-common-context-field-class") != event_context())) {
        reject(
            "its packets and events are laid out in another way than nmisafe's: a foreign trace");
    }
}

ctf::base base_of(const json& field_class) {
    if (!field_class.contains("preferred-display-base")) {
        return ctf::base::decimal;
    }
    switch (number(field_class, "preferred-display-base")) {
    case 8:
        return ctf::base::octal;
    case 16:
        return ctf::base::hexadecimal;
    default:
        return ctf::base::decimal;
    }
}

ctf::kind kind_of(const json& field_class, const std::string& name) {
    const std::string type = text(field_class, "type");
    if (type == "null-terminated-string") {
        return ctf::kind::string;
    }
    if (type == "dynamic-length-array") {
        return ctf::kind::addresses;
    }
    for (unsigned i = 0; i < ctf::kind_count; ++i) {
        const auto kind = static_cast<ctf::kind>(i);
        if (const unsigned bits = 8 * ctf::size_of(kind); bits != 0) {
            const json wanted = integer(bits, ctf::is_signed(kind));
            if (wanted.at("type").get_ref<const std::string&>() == type &&
                part(field_class, "length") == bits &&
                part(field_class, "byte-order") == "little-endian" &&
                part(field_class, "alignment") == 8) {
                return kind;
            }
        }
    }
    reject("field " + name + " is of a kind that nmisafe does not write: a foreign trace");
}

event_type read_event(const json& from, std::uint32_t stream_id) {
    event_type made;
    made.id = static_cast<std::uint32_t>(number(from, "id", most_32));
    made.name = text(from, "name");
    if (number(from, "data-stream-class-id") != stream_id) {
        reject("event " + made.name + " is of another stream");
    }
    const json& members = part(part(from, "payload-field-class"), "member-classes");
    if (!members.is_array()) {
        reject("event " + made.name + " has no list of fields");
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
        field_type field;
        field.name = text(members[i], "name");
        // The length in front of a chain is a part of it.
        if (i + 1 < members.size() && field.name == length_name(text(members[i + 1], "name"))) {
            field.name = text(members[++i], "name");
        }
        const json& field_class = part(members[i], "field-class");
        field.type = kind_of(field_class, field.name);
        field.shown =
            field.type == ctf::kind::addresses ? ctf::base::decimal : base_of(field_class);
        json written = json::array();
        add_members(field, written);
        if (field.type == ctf::kind::addresses &&
            (i == 0 || written[0] != members[i - 1] || written[1] != members[i])) {
            reject("field " + field.name +
                   " is of a kind that nmisafe does not write: a foreign trace");
        }
        made.fields.push_back(field);
    }
    return made;
}

} // namespace

std::string write_ctf2(const trace_description& about) {
    std::string all;
    const auto add = [&all](const json& fragment) {
        all += record_separator;
        all += fragment.dump(-1, ' ', false, json::error_handler_t::replace);
        all += '\n';
    };
    add({{"type", "preamble"}, {"version", 2}, {"uuid", about.uuid}});
    add({{"type", "trace-class"},
         {"environment",
          {{"domain", about.domain},
           {"tracer_name", about.tracer_name},
           {"tracer_major", 0},
           {"tracer_minor", 1}}},
         {"packet-header-field-class", header_of_packets()}});
    add({{"type", "clock-class"},
         {"id", clock_id},
         {"name", clock_id},
         {"frequency", about.frequency},
         {"precision", 1},
         {"origin", "unix-epoch"},
         {"offset-from-origin",
          {{"seconds", about.clock_offset / about.frequency},
           {"cycles", about.clock_offset % about.frequency}}}});
    add(stream_class(about));
    for (const event_type& one : about.events) {
        add(event_class(one, about.stream_id));
    }
    return all;
}

trace_description read_ctf2(std::string_view text_of_all) {
    trace_description made;
    if (text_of_all.empty() || text_of_all.front() != record_separator) {
        reject("it is no sequence of JSON texts, as CTF 2 has it");
    }
    bool has_preamble = false;
    bool has_trace_class = false;
    bool has_clock = false;
    bool has_stream = false;
    while (!text_of_all.empty()) {
        text_of_all.remove_prefix(1);
        const std::size_t end = std::min(text_of_all.find(record_separator), text_of_all.size());
        const json fragment = json::parse(text_of_all.substr(0, end), nullptr, false);
        text_of_all.remove_prefix(end);
        if (!fragment.is_object()) {
            reject("a part of it is no JSON object");
        }
        const std::string type = text(fragment, "type");
        if (type == "preamble") {
            read_preamble(fragment, made);
            has_preamble = true;
        } else if (type == "trace-class") {
            read_trace_class(fragment, made);
            has_trace_class = true;
        } else if (type == "clock-class") {
            read_clock(fragment, made);
            has_clock = true;
        } else if (type == "data-stream-class") {
            if (has_stream) {
                reject("it has more than one class of streams: a foreign trace");
            }
            read_stream(fragment, made);
            has_stream = true;
        } else if (type == "event-record-class") {
            made.events.push_back(read_event(fragment, made.stream_id));
        } else {
            reject("it has a " + type + ", which nmisafe does not write: a foreign trace");
        }
    }
    if (!has_preamble || !has_trace_class || !has_clock || !has_stream) {
        reject("it is not whole");
    }
    if (std::string why = check_description(made); !why.empty()) {
        reject(why);
    }
    return made;
}

} // namespace nmisafe::tool
