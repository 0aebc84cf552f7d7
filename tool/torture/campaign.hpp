// SPDX-License-Identifier: MIT
// A campaign: a file of sweeps, and what has come of each so far.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace nmisafe::tool::torture {

struct campaign_sweep {
    std::string name;                   // of its folder, too
    std::string kernel;                 // a file's name in --kernels
    std::vector<std::string> arguments; // of `nmisafe torture`
    std::vector<std::string> brief;     // these too, where a part is to do
    std::vector<std::string> qemu;      // what stands behind "--"
    std::uint64_t least = 1;            // boundaries of each path when it is whole
    std::uint64_t least_brief = 1;      // and of the part
};

// JSON: { "sweeps": [ { "name": ..., "kernel": ..., ... } ] }. Throws std::runtime_error: which line is no JSON, or which
// sweep is wrong, and in what.
std::vector<campaign_sweep> read_campaign(const std::filesystem::path& file);

struct campaign_result {
    std::string key;   // of what it depends on
    int status = -1;   // of the command; -1: not done
    bool kept = false; // from an earlier run
    std::string error;
    std::uint64_t paths = 0, boundaries = 0, fewest = 0, findings = 0, missing = 0;
    double seconds = 0, cpu_seconds = 0;
    std::map<std::string, std::uint64_t> verdicts;
};

// What a sweep's folder holds of a run with this key that came to its end; status -1 if nothing.
campaign_result kept_result(const std::filesystem::path& folder, const std::string& key);
// Of the report that a sweep has left in its folder.
campaign_result result_of(const std::filesystem::path& folder, const std::string& key, int status);
// For kept_result(). Why it cannot be written, or empty.
std::string keep_result(const std::filesystem::path& folder, const campaign_result& result);

std::string summary_text(const std::vector<std::pair<campaign_sweep, campaign_result>>& of);
std::string summary_json(const std::vector<std::pair<campaign_sweep, campaign_result>>& of);

// Of what a result depends on: texts, and the contents of files.
class content_key {
  public:
    void add(const std::string& text);
    void add_file(const std::filesystem::path& file); // one that is not there counts as empty
    std::string text() const;

  private:
    void add_bytes(const char* bytes, std::size_t size);
    std::uint64_t value_ = 0xcbf29ce484222325;
};

} // namespace nmisafe::tool::torture
