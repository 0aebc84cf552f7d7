// SPDX-License-Identifier: MIT
#include "tool/torture/campaign.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "tool/files/output_file.hpp"

namespace nmisafe::tool::torture {

namespace {

using nlohmann::ordered_json;

// "parse error at line 3, column 5: ..." without the library's own number in front.
std::string without_number(const std::string& text) {
    const std::size_t bracket = text.find("] ");
    return bracket == std::string::npos ? text : text.substr(bracket + 2);
}

campaign_sweep read_one_sweep(const ordered_json& from) {
    campaign_sweep one;
    if (!from.is_object()) {
        throw std::runtime_error("it is no object");
    }
    for (const auto& [name, value] : from.items()) {
        const auto take = [&name = name, &value = value](auto& to, const char* kind) {
            try {
                value.get_to(to);
            } catch (const ordered_json::exception&) {
                throw std::runtime_error(fmt::format("\"{}\" is not {}", name, kind));
            }
        };
        if (name == "name") {
            take(one.name, "a text");
        } else if (name == "kernel") {
            take(one.kernel, "a text");
        } else if (name == "arguments") {
            take(one.arguments, "a list of texts");
        } else if (name == "brief") {
            take(one.brief, "a list of texts");
        } else if (name == "qemu") {
            take(one.qemu, "a list of texts");
        } else if (name == "least") {
            take(one.least, "a number");
        } else if (name == "least_brief") {
            take(one.least_brief, "a number");
        } else {
            throw std::runtime_error(fmt::format("there is nothing like \"{}\"", name));
        }
    }
    const bool is_folder =
        !one.name.empty() && one.name.front() != '.' &&
        one.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == std::string::npos;
    if (!is_folder) {
        throw std::runtime_error("its \"name\" is to be letters, digits and ._- alone");
    }
    if (one.kernel.empty()) {
        throw std::runtime_error("it has no \"kernel\"");
    }
    return one;
}

ordered_json result_json(const campaign_result& of) {
    ordered_json json = {{"key", of.key},
                         {"status", of.status},
                         {"error", of.error},
                         {"paths", of.paths},
                         {"boundaries", of.boundaries},
                         {"fewest", of.fewest},
                         {"findings", of.findings},
                         {"missing", of.missing},
                         {"seconds", of.seconds},
                         {"cpu_seconds", of.cpu_seconds},
                         {"verdicts", ordered_json::object()}};
    for (const auto& [name, count] : of.verdicts) {
        json["verdicts"][name] = count;
    }
    return json;
}

double rate(const campaign_result& of) {
    return of.cpu_seconds > 0 ? static_cast<double>(of.boundaries) / of.cpu_seconds : 0;
}

constexpr const char* result_name = "result.json";

} // namespace

std::vector<campaign_sweep> read_campaign(const std::filesystem::path& file) {
    std::ifstream stream(file);
    if (!stream) {
        throw std::runtime_error(file.string() + " cannot be read");
    }
    ordered_json json;
    try {
        json = ordered_json::parse(stream);
    } catch (const ordered_json::exception& error) {
        throw std::runtime_error(
            fmt::format("{}: {}", file.string(), without_number(error.what())));
    }
    if (!json.is_object() || json.size() != 1 || !json.contains("sweeps") ||
        !json["sweeps"].is_array() || json["sweeps"].empty()) {
        throw std::runtime_error(file.string() + ": it is to hold a list \"sweeps\" and no more");
    }
    std::vector<campaign_sweep> list;
    std::set<std::string> known;
    for (const ordered_json& from : json["sweeps"]) {
        const bool has_name = from.is_object() && from.contains("name") && from["name"].is_string();
        const std::string which =
            fmt::format("sweep {}{}", list.size() + 1,
                        has_name ? " (" + from["name"].get<std::string>() + ")" : std::string());
        try {
            list.push_back(read_one_sweep(from));
        } catch (const std::runtime_error& error) {
            throw std::runtime_error(fmt::format("{}: {}: {}", file.string(), which, error.what()));
        }
        if (!known.insert(list.back().name).second) {
            throw std::runtime_error(
                fmt::format("{}: {}: another one has this name", file.string(), which));
        }
    }
    return list;
}

campaign_result kept_result(const std::filesystem::path& folder, const std::string& key) {
    std::ifstream stream(folder / result_name);
    const ordered_json json = ordered_json::parse(stream, nullptr, false);
    campaign_result kept;
    try {
        if (!json.is_object() || json.at("key") != key ||
            !std::filesystem::exists(folder / "report.json")) {
            return {};
        }
        json.at("key").get_to(kept.key);
        json.at("status").get_to(kept.status);
        json.at("error").get_to(kept.error);
        json.at("paths").get_to(kept.paths);
        json.at("boundaries").get_to(kept.boundaries);
        json.at("fewest").get_to(kept.fewest);
        json.at("findings").get_to(kept.findings);
        json.at("missing").get_to(kept.missing);
        json.at("seconds").get_to(kept.seconds);
        json.at("cpu_seconds").get_to(kept.cpu_seconds);
        json.at("verdicts").get_to(kept.verdicts);
    } catch (const ordered_json::exception&) {
        return {}; // it is done again
    }
    kept.kept = true;
    return kept;
}

campaign_result result_of(const std::filesystem::path& folder, const std::string& key, int status) {
    campaign_result result;
    result.key = key;
    result.status = status;
    std::ifstream stream(folder / "report.json");
    const ordered_json json = ordered_json::parse(stream, nullptr, false);
    if (!json.is_object()) {
        result.error = "there is no report";
        return result;
    }
    for (const ordered_json& sweep : json.at("sweeps")) {
        const auto boundaries = sweep.at("boundaries").get<std::uint64_t>();
        result.fewest = result.paths == 0 ? boundaries : std::min(result.fewest, boundaries);
        ++result.paths;
        result.boundaries += boundaries;
        result.findings += sweep.at("findings").get<std::uint64_t>();
        result.missing += sweep.at("missing").size();
        result.seconds += sweep.at("seconds").get<double>();
        result.cpu_seconds += sweep.at("cpu_seconds").get<double>();
        if (result.error.empty()) {
            result.error = sweep.at("error").get<std::string>();
        }
        for (const auto& [name, count] : sweep.at("verdicts").items()) {
            result.verdicts[name] += count.get<std::uint64_t>();
        }
    }
    return result;
}

std::string keep_result(const std::filesystem::path& folder, const campaign_result& result) {
    return write_whole(folder / result_name, result_json(result).dump(1) + '\n');
}

std::string summary_text(const std::vector<std::pair<campaign_sweep, campaign_result>>& of) {
    std::string text = fmt::format("{:<28} {:>10} {:>9} {:>8} {:>8}  {}\n", "sweep", "boundaries",
                                   "per CPU s", "seconds", "findings", "verdicts");
    std::uint64_t boundaries = 0, findings = 0, done = 0;
    for (const auto& [sweep, result] : of) {
        if (result.status < 0) {
            text += fmt::format("{:<28} not done\n", sweep.name);
            continue;
        }
        std::string verdicts;
        for (const auto& [name, count] : result.verdicts) {
            verdicts += fmt::format("{}{} {}", verdicts.empty() ? "" : ", ", count, name);
        }
        text += fmt::format("{:<28} {:>10} {:>9.0f} {:>8.1f} {:>8}  {}{}\n", sweep.name,
                            result.boundaries, rate(result), result.seconds, result.findings,
                            verdicts, result.kept ? " (kept)" : "");
        if (result.missing != 0) {
            text += fmt::format("  {} addresses of the path were not hit\n", result.missing);
        }
        if (!result.error.empty()) {
            text += "  not complete: " + result.error + "\n";
        }
        boundaries += result.boundaries;
        findings += result.findings;
        done += result.status <= 1; // else it is done again
    }
    return text + fmt::format("{} of {} sweeps done, {} boundaries, {} findings\n", done, of.size(),
                              boundaries, findings);
}

std::string summary_json(const std::vector<std::pair<campaign_sweep, campaign_result>>& of) {
    ordered_json json = {
        {"schema", 1}, {"tool", "nmisafe torture --campaign"}, {"sweeps", ordered_json::array()}};
    for (const auto& [sweep, result] : of) {
        ordered_json one = {{"name", sweep.name}, {"kernel", sweep.kernel}};
        one.update(result_json(result));
        one["per_cpu_second"] = rate(result);
        one["kept"] = result.kept;
        json["sweeps"].push_back(std::move(one));
    }
    return json.dump(1, ' ', false, ordered_json::error_handler_t::replace) + '\n';
}

void content_key::add_bytes(const char* bytes, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        value_ = (value_ ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3; // FNV-1a
    }
}

void content_key::add(const std::string& text) {
    add_bytes(text.c_str(), text.size() + 1);
}

void content_key::add_file(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::array<char, 1 << 16> bytes{};
    std::uint64_t size = 0;
    do {
        stream.read(bytes.data(), bytes.size());
        add_bytes(bytes.data(), static_cast<std::size_t>(stream.gcount()));
        size += static_cast<std::uint64_t>(stream.gcount());
    } while (stream);
    add(std::to_string(size));
}

std::string content_key::text() const {
    return fmt::format("{:016x}", value_);
}

} // namespace nmisafe::tool::torture
