// SPDX-License-Identifier: MIT
#include "tool/trace/metadata.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "nmisafe/ctf/metadata.hpp"

namespace nmisafe::tool {

namespace {

using json = nlohmann::ordered_json;

template <typename Number>
Number number_in(const json& object, const char* name, Number otherwise) {
    const auto found = object.find(name);
    if (found == object.end()) {
        return otherwise;
    }
    if (!found->is_number_unsigned() &&
        !(found->is_number_integer() && found->get<std::int64_t>() >= 0)) {
        throw trace_error(std::string(name) + " is no number");
    }
    const auto value = found->get<std::uint64_t>();
    if (value > std::numeric_limits<Number>::max()) {
        throw trace_error(std::string(name) + " is too large");
    }
    return static_cast<Number>(value);
}

std::string text_in(const json& object, const char* name, const std::string& otherwise) {
    const auto found = object.find(name);
    if (found == object.end()) {
        return otherwise;
    }
    if (!found->is_string()) {
        throw trace_error(std::string(name) + " is no text");
    }
    return found->get<std::string>();
}

// Bytes that are no UTF-8, as a damaged memory may have, are replaced.
std::string to_text(const json& from, int indent = -1) {
    return from.dump(indent, ' ', false, json::error_handler_t::replace);
}

} // namespace

std::string write_tsdl(const trace_description& about) {
    std::vector<std::vector<ctf::field>> fields;
    std::vector<ctf::event> events;
    fields.reserve(about.events.size());
    for (const event_type& one : about.events) {
        std::vector<ctf::field>& those = fields.emplace_back();
        for (const field_type& field : one.fields) {
            those.push_back({field.name.c_str(), field.type, field.shown});
        }
        events.emplace_back(one.id, one.name.c_str(), those.data(), those.size());
    }
    std::vector<const ctf::event*> pointers;
    for (const ctf::event& one : events) {
        pointers.push_back(&one);
    }
    ctf::trace trace{.uuid = {},
                     .stream_id = about.stream_id,
                     .frequency = about.frequency,
                     .clock_offset = about.clock_offset,
                     .tracer_name = about.tracer_name.c_str(),
                     .domain = about.domain.c_str(),
                     .has_context = about.has_context};
    std::copy(about.uuid.begin(), about.uuid.end(), trace.uuid);
    std::string text(4096, '\0');
    for (;;) {
        ctf::text to(text.data(), text.size());
        const bool fits = ctf::write_metadata(to, trace, pointers.data(), pointers.size());
        text.resize(to.length());
        if (fits) {
            return text;
        }
    }
}

std::string write_sidecar(const trace_description& about) {
    json images = json::array();
    for (const code_image& one : about.images) {
        images.push_back({{"file", one.file},
                          {"section", one.section},
                          {"begin", one.begin},
                          {"size", one.size},
                          {"linked", one.linked},
                          {"loaded", one.loaded},
                          {"unloaded", one.unloaded}});
    }
    const json all{{"version", 1},           {"width", about.width}, {"system", about.system},
                   {"kernel", about.kernel}, {"ended", about.ended}, {"images", images}};
    return to_text(all, 1) + "\n";
}

void read_sidecar(std::string_view text, trace_description& to) {
    const json all = json::parse(text, nullptr, false);
    if (!all.is_object()) {
        throw trace_error("it is no JSON object");
    }
    if (number_in<unsigned>(all, "version", 0) != 1) {
        throw trace_error("another version of this tool has written it");
    }
    to.width = number_in<unsigned>(all, "width", 64);
    to.system = text_in(all, "system", "");
    to.kernel = text_in(all, "kernel", "");
    to.ended = text_in(all, "ended", "running");
    to.images.clear();
    const auto images = all.find("images");
    if (images == all.end()) {
        return;
    }
    for (const json& one : *images) {
        if (!one.is_object()) {
            throw trace_error("an image is no object");
        }
        to.images.push_back({.file = text_in(one, "file", ""),
                             .section = text_in(one, "section", ""),
                             .begin = number_in<std::uint64_t>(one, "begin", 0),
                             .size = number_in<std::uint64_t>(one, "size", 0),
                             .linked = number_in<std::uint64_t>(one, "linked", 0),
                             .loaded = number_in<std::uint64_t>(one, "loaded", 0),
                             .unloaded = number_in<std::uint64_t>(one, "unloaded", 0)});
    }
}

} // namespace nmisafe::tool
