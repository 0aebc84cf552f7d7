// SPDX-License-Identifier: MIT
#include "tool/trace/trace_folder.hpp"

#include <algorithm>
#include <system_error>

#include "tool/trace/metadata.hpp"

namespace nmisafe::tool {

namespace {

constexpr const char* ctf2_beside = ".metadata.ctf2";
constexpr const char* metadata = "metadata";
constexpr const char* sidecar = ".nmisafe.json";
constexpr std::uint64_t most_metadata = std::uint64_t{256} << 20;

} // namespace

trace_folder::trace_folder(const std::filesystem::path& folder) : path_(folder) {
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::status(folder, error);
    if (!std::filesystem::exists(status)) {
        throw trace_error(folder.string() + ": No such file or directory");
    }
    if (!std::filesystem::is_directory(status)) {
        throw trace_error(folder.string() + ": a trace is a folder, and this is a file");
    }
    std::filesystem::directory_iterator all(folder, error);
    if (error) {
        throw trace_error(folder.string() + ": " + error.message());
    }
    for (; all != std::filesystem::directory_iterator(); all.increment(error)) {
        const std::string name = all->path().filename().string();
        if (name.front() != '.' && name != metadata && !all->is_directory(error)) {
            streams_.push_back(name);
        }
    }
    read();
}

trace_folder::trace_folder(std::map<std::string, std::string> files)
    : path_("memory"), is_memory_(true), memory_(std::move(files)) {
    for (const auto& [name, bytes] : memory_) {
        if (name.front() != '.' && name != metadata) {
            streams_.push_back(name);
        }
    }
    read();
}

bool trace_folder::has(const std::string& name) const {
    std::error_code error;
    return is_memory_ ? memory_.contains(name) : std::filesystem::exists(path_ / name, error);
}

std::unique_ptr<byte_source> trace_folder::source(const std::string& name) const {
    return is_memory_ ? open_memory(memory_.at(name)) : open_file(path_ / name);
}

std::string trace_folder::whole(const std::string& name) const {
    const std::unique_ptr<byte_source> from = source(name);
    if (from->size() > most_metadata) {
        throw trace_error((path_ / name).string() + ": too large for what it should be");
    }
    std::string bytes(from->size(), '\0');
    bytes.resize(from->read(0, {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()}));
    return bytes;
}

void trace_folder::read() {
    std::sort(streams_.begin(), streams_.end());
    const char* const name = has(ctf2_beside) ? ctf2_beside : metadata;
    if (!has(name)) {
        throw trace_error(path_.string() + ": no trace: it has no file `metadata`");
    }
    const std::string text = whole(name);
    if (name == metadata && text.starts_with("/* CTF 1.8")) {
        throw trace_error(
            path_.string() + ": a foreign trace of CTF 1.8: there is no `" + ctf2_beside +
            "`, which nmisafe writes beside `metadata` and reads (babeltrace2 reads this one)");
    }
    try {
        description_ = read_ctf2(text);
    } catch (const trace_error& error) {
        throw trace_error((path_ / name).string() + ": " + error.what());
    }
    if (has(sidecar)) {
        try {
            read_sidecar(whole(sidecar), description_);
        } catch (const trace_error& error) {
            warnings_.push_back((path_ / sidecar).string() + ": " + error.what());
        }
    }
    index_ = event_index(description_.events);
}

packet_reader trace_folder::open(std::size_t stream, trace_problems& problems) const {
    return {source(streams_.at(stream)), streams_.at(stream), description_, problems};
}

std::uint64_t trace_folder::bytes() const {
    std::uint64_t sum = 0;
    for (const std::string& name : streams_) {
        sum += source(name)->size();
    }
    return sum;
}

namespace {

__extension__ using wide = unsigned __int128;

std::uint64_t to_nanoseconds(wide time, std::uint64_t frequency) {
    return frequency == 1'000'000'000
               ? static_cast<std::uint64_t>(time)
               : static_cast<std::uint64_t>(time * 1'000'000'000 / frequency);
}

} // namespace

std::uint64_t trace_folder::nanoseconds(std::uint64_t time) const {
    return to_nanoseconds(time, description_.frequency);
}

std::uint64_t trace_folder::real_nanoseconds(std::uint64_t time) const {
    return to_nanoseconds(wide{time} + description_.clock_offset, description_.frequency);
}

} // namespace nmisafe::tool
