// SPDX-License-Identifier: MIT
#include "tool/convert/statistics.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace nmisafe::tool {

namespace {

constexpr unsigned steps_of_power = 8;
constexpr unsigned step_bits = 3;

std::size_t bucket_of(std::uint64_t value) {
    if (value < steps_of_power) {
        return value;
    }
    const auto power = static_cast<unsigned>(std::bit_width(value)) - 1;
    return std::size_t{power - step_bits + 1} * steps_of_power +
           ((value >> (power - step_bits)) & (steps_of_power - 1));
}

std::uint64_t end_of(std::size_t bucket) {
    if (bucket < steps_of_power) {
        return bucket;
    }
    const auto power = static_cast<unsigned>(bucket / steps_of_power) + step_bits - 1;
    const std::uint64_t step = bucket % steps_of_power + steps_of_power;
    return ((step + 1) << (power - step_bits)) - 1;
}

} // namespace

void durations::add(std::uint64_t nanoseconds) {
    ++buckets_[bucket_of(nanoseconds)];
    ++count_;
    sum_ += nanoseconds;
    smallest_ = std::min(smallest_, nanoseconds);
    largest_ = std::max(largest_, nanoseconds);
}

std::uint64_t durations::quantile(unsigned in_a_thousand) const {
    std::uint64_t left = (count_ * in_a_thousand + 999) / 1000;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        if (buckets_[i] >= left) {
            return std::clamp(end_of(i), smallest_, largest_);
        }
        left -= buckets_[i];
    }
    return largest_;
}

void statistics::event(const trace_event& one) {
    ++count_;
    ++counts_[one.type];
    ++cpus_[one.cpu];
    first_ = std::min(first_, one.time);
    last_ = std::max(last_, one.time);
    ended_.clear();
    timeline_.add(one, ended_);
    take(ended_);
}

void statistics::loss(const trace_loss& one) {
    lost& sum = lost_[one.stream];
    for (unsigned i = 0; i < ring_buffer::loss_count; ++i) {
        sum.events[i] += one.events[i];
    }
    sum.packets += one.packets;
}

// What was open when the trace ended has no end, and is no duration.
void statistics::finish() {}

void statistics::take(const std::vector<span>& ended) {
    for (const span& one : ended) {
        if (one.kind != span_kind::task) {
            const std::string kind(one.kind == span_kind::system_call ? "system call"
                                                                      : name_of(one.context));
            durations_[kind == one.name ? kind : kind + " " + one.name].add(
                folder_.nanoseconds(one.end) - folder_.nanoseconds(one.begin));
        }
    }
}

std::string statistics::to_text(const trace_problems& problems) const {
    const std::uint64_t length =
        count_ != 0 ? folder_.nanoseconds(last_) - folder_.nanoseconds(first_) : 0;
    const double seconds = static_cast<double>(length) / 1e9;
    std::string text = fmt::format("{} events in {:.6f} s", count_, seconds);
    const auto rate = [seconds](std::uint64_t count) {
        return seconds > 0 ? fmt::format("{:.0f}", static_cast<double>(count) / seconds)
                           : std::string("-");
    };
    text += fmt::format(
        ", {} a second; the machine: {}, {} bits, {}\n\n{:<28}{:>14}{:>14}\n", rate(count_),
        folder_.description().system.empty() ? "?" : folder_.description().system,
        folder_.description().width, folder_.description().ended, "event", "count", "a second");
    std::vector<std::pair<std::uint64_t, std::string>> ordered;
    for (const auto& [type, count] : counts_) {
        ordered.emplace_back(count, type->name);
    }
    std::sort(ordered.rbegin(), ordered.rend());
    for (const auto& [count, name] : ordered) {
        text += fmt::format("{:<28}{:>14}{:>14}\n", name, count, rate(count));
    }
    text += fmt::format("\n{:<28}{:>14}\n", "CPU", "events");
    for (const auto& [cpu, count] : cpus_) {
        text += fmt::format("{:<28}{:>14}\n", cpu, count);
    }
    text += fmt::format("\n{:<28}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "lost by stream", "full",
                        "wrap", "too_big", "nesting", "packets");
    for (const auto& [stream, sum] : lost_) {
        text +=
            fmt::format("{:<28}{:>10}{:>10}{:>10}{:>10}{:>10}\n", folder_.streams()[stream],
                        sum.events[0], sum.events[1], sum.events[2], sum.events[3], sum.packets);
    }
    if (lost_.empty()) {
        text += "none\n";
    }
    text += fmt::format("\n{:<28}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "nanoseconds of", "count",
                        "least", "median", "99 %", "99.9 %", "most");
    for (const auto& [name, found] : durations_) {
        text += fmt::format("{:<28}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n", name, found.count(),
                            found.smallest(), found.quantile(500), found.quantile(990),
                            found.quantile(999), found.largest());
    }
    if (problems.count() != 0) {
        text += fmt::format("\n{} problems with the trace: what is readable is counted\n",
                            problems.count());
    }
    return text;
}

std::string statistics::to_json(const trace_problems& problems) const {
    nlohmann::ordered_json all;
    all["schema"] = 1;
    all["events"] = count_;
    all["nanoseconds"] = count_ != 0 ? folder_.nanoseconds(last_) - folder_.nanoseconds(first_) : 0;
    all["problems"] = problems.count();
    std::uint64_t sum = 0;
    all["lost"] = nlohmann::ordered_json::object();
    for (const auto& [stream, gone] : lost_) {
        nlohmann::ordered_json& one = all["lost"][folder_.streams()[stream]];
        for (unsigned i = 0; i < ring_buffer::loss_count; ++i) {
            one[loss_names[i]] = gone.events[i];
            sum += gone.events[i];
        }
        one["packets"] = gone.packets;
    }
    all["lost_events"] = sum;
    all["by_name"] = nlohmann::ordered_json::object();
    for (const auto& [type, count] : counts_) {
        all["by_name"][type->name] = count;
    }
    all["by_cpu"] = nlohmann::ordered_json::object();
    for (const auto& [cpu, count] : cpus_) {
        all["by_cpu"][std::to_string(cpu)] = count;
    }
    all["durations"] = nlohmann::ordered_json::object();
    for (const auto& [name, found] : durations_) {
        all["durations"][name] = {{"count", found.count()},        {"smallest", found.smallest()},
                                  {"median", found.quantile(500)}, {"p99", found.quantile(990)},
                                  {"p999", found.quantile(999)},   {"largest", found.largest()},
                                  {"mean", found.mean()}};
    }
    return all.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

} // namespace nmisafe::tool
