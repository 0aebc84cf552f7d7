// SPDX-License-Identifier: MIT
#include "tool/views/view_data.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <tuple>

namespace nmisafe::tool {

namespace {

using json_value = nlohmann::json;

// Above it a page's numbers are not exact.
constexpr std::uint64_t largest_exact = std::uint64_t{1} << 53;
constexpr std::uint32_t context_of_calls = 7; // in the JSON

// Lists of numbers are most of a large trace.
template <typename Rows, typename Get>
json_value column(const Rows& rows, Get get) {
    json_value::array_t list;
    list.reserve(rows.size());
    for (const auto& row : rows) {
        list.emplace_back(get(row));
    }
    return list;
}

// Each less the one before it: small numbers are short.
template <typename Rows, typename Get>
json_value deltas(const Rows& rows, std::uint64_t from, Get get) {
    return column(rows, [&](const auto& row) { return get(row) - std::exchange(from, get(row)); });
}

} // namespace

std::uint32_t name_table::index_of(std::string_view name) {
    const auto [found, is_new] =
        indices_.try_emplace(std::string(name), static_cast<std::uint32_t>(names_.size()));
    if (is_new) {
        names_.push_back(found->first);
    }
    return found->second;
}

std::uint32_t view_data::add_kind(std::string_view name, const std::vector<view_field>& fields) {
    event_kind added{names_.index_of(name), {}};
    for (const view_field& field : fields) {
        added.fields.emplace_back(names_.index_of(field.name), field.is_text);
    }
    kinds_.push_back(std::move(added));
    return static_cast<std::uint32_t>(kinds_.size() - 1);
}

view_data::cpu_data& view_data::of_cpu(unsigned cpu) {
    for (cpu_data& one : cpus_) {
        if (one.cpu == cpu) {
            return one;
        }
    }
    return cpus_.emplace_back(cpu_data{cpu, {}, {}, {}, {}});
}

void view_data::add_event(unsigned cpu, std::uint64_t time, std::uint32_t kind,
                          ctf::event_context where, const std::vector<view_value>& values) {
    const auto& fields = kinds_.at(kind).fields;
    if (values.size() != fields.size()) {
        throw std::logic_error("an event with more or fewer values than its kind has");
    }
    cpu_data& to = of_cpu(cpu);
    to.events.push_back({time, kind, where});
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (const auto* text = std::get_if<std::string_view>(&values[i]);
            (text != nullptr) != fields[i].second) {
            throw std::logic_error("a value that is not what its field is");
        } else if (text != nullptr) {
            to.values.push_back({names_.index_of(*text), stored_value::name});
        } else if (const auto* number = std::get_if<std::int64_t>(&values[i])) {
            to.values.push_back({static_cast<std::uint64_t>(*number),
                                 *number < 0 ? stored_value::negative : stored_value::positive});
        } else {
            to.values.push_back({std::get<std::uint64_t>(values[i]), stored_value::positive});
        }
    }
}

void view_data::add_span(unsigned cpu, const span& one) {
    of_cpu(cpu).spans.push_back({one.begin, one.end - one.begin, one.row,
                                 one.kind == span_kind::system_call
                                     ? context_of_calls
                                     : static_cast<std::uint32_t>(one.context),
                                 names_.index_of(one.name)});
}

void view_data::add_loss(unsigned cpu, std::uint64_t begin, std::uint64_t end, std::uint64_t count,
                         std::string_view channel) {
    of_cpu(cpu).losses.push_back({begin, end, count, names_.index_of(channel)});
}

void view_data::add_calls(const std::vector<std::string>& chain, std::uint64_t samples) {
    std::int64_t parent = -1;
    for (const std::string& function : chain) {
        const std::uint32_t name = names_.index_of(function);
        // The parent's index is below 2^32: each is a distinct name or a caller of one.
        const std::uint64_t key = static_cast<std::uint64_t>(parent + 1) << 32 | name;
        const auto [found, is_new] = call_by_parent_and_name_.try_emplace(key, calls_.size());
        if (is_new) {
            calls_.push_back({name, parent, 0});
        }
        parent = static_cast<std::int64_t>(found->second);
    }
    if (parent >= 0) {
        calls_[static_cast<std::size_t>(parent)].samples += samples;
    }
}

std::pair<std::uint64_t, std::uint64_t> view_data::range() const {
    std::uint64_t begin = ~std::uint64_t{0};
    std::uint64_t end = 0;
    for (const cpu_data& one : cpus_) {
        for (const event& each : one.events) {
            begin = std::min(begin, each.time);
            end = std::max(end, each.time);
        }
        for (const stored_span& each : one.spans) {
            begin = std::min(begin, each.begin);
            end = std::max(end, each.begin + each.length);
        }
    }
    return {std::min(begin, end), end};
}

std::string view_data::json() const {
    const auto [first, last] = range();
    const std::uint64_t start = first;
    const auto inside = [start, end = last](std::uint64_t time) {
        return std::clamp(time, start, end) - start;
    };
    json_value kinds = json_value::array();
    for (const event_kind& one : kinds_) {
        json_value fields = json_value::array();
        for (const auto& [name, is_text] : one.fields) {
            fields.push_back({names_.all()[name], is_text ? 1 : 0});
        }
        kinds.push_back({{"name", names_.all()[one.name]}, {"fields", fields}});
    }
    std::vector<const cpu_data*> sorted;
    for (const cpu_data& one : cpus_) {
        sorted.push_back(&one);
    }
    std::sort(sorted.begin(), sorted.end(),
              [](const cpu_data* a, const cpu_data* b) { return a->cpu < b->cpu; });
    json_value cpus = json_value::array();
    for (const cpu_data* one : sorted) {
        std::vector<stored_span> spans = one->spans;
        std::stable_sort(spans.begin(), spans.end(),
                         [](const stored_span& a, const stored_span& b) {
                             return std::tie(a.begin, a.row) < std::tie(b.begin, b.row);
                         });
        const auto value = [](const stored_value& stored) -> json_value {
            if (stored.how == stored_value::name) {
                return stored.bits;
            }
            const auto number = static_cast<std::int64_t>(stored.bits);
            if (stored.how == stored_value::negative) {
                return -stored.bits <= largest_exact ? json_value(number)
                                                     : json_value(fmt::format("{}", number));
            }
            return stored.bits <= largest_exact ? json_value(stored.bits)
                                                : json_value(fmt::format("{}", stored.bits));
        };
        const auto begin = [](const auto& row) { return row.begin; };
        cpus.push_back(
            {{"cpu", one->cpu},
             {"spans",
              {{"begin", deltas(spans, start, begin)},
               {"length", column(spans, [](const auto& row) { return row.length; })},
               {"row", column(spans, [](const auto& row) { return row.row; })},
               {"context", column(spans, [](const auto& row) { return row.context; })},
               {"name", column(spans, [](const auto& row) { return row.name; })}}},
             {"events",
              {{"time", deltas(one->events, start, [](const auto& row) { return row.time; })},
               {"kind", column(one->events, [](const auto& row) { return row.kind; })},
               {"context",
                column(one->events,
                       [](const auto& row) { return static_cast<unsigned>(row.where.innermost); })},
               {"depth", column(one->events, [](const auto& row) { return row.where.depth; })},
               {"values", column(one->values, value)}}},
             {"losses",
              {{"begin", column(one->losses, [&](const auto& row) { return inside(row.begin); })},
               {"end", column(one->losses, [&](const auto& row) { return inside(row.end); })},
               {"count", column(one->losses, [](const auto& row) { return row.count; })},
               {"channel", column(one->losses, [](const auto& row) { return row.channel; })}}}});
    }
    json_value shown_facts = json_value::array();
    for (const auto& [name, text] : facts) {
        shown_facts.push_back({name, text});
    }
    const json_value all = {
        {"version", 1},
        {"title", title},
        {"facts", shown_facts},
        {"begin", fmt::format("{}", start)},
        {"length", last - start},
        {"names", names_.all()},
        {"kinds", kinds},
        {"cpus", cpus},
        {"calls",
         {{"name", column(calls_, [](const auto& row) { return row.name; })},
          {"parent", column(calls_, [](const auto& row) { return row.parent; })},
          {"samples", column(calls_, [](const auto& row) { return row.samples; })}}}};
    // A trace may hold any bytes.
    const std::string text = all.dump(-1, ' ', false, json_value::error_handler_t::replace);
    std::string safe;
    safe.reserve(text.size());
    for (const char byte : text) {
        // Only within strings, where this is the same.
        byte == '<' ? safe.append("\\u003c") : safe.append(1, byte);
    }
    return safe;
}

} // namespace nmisafe::tool
