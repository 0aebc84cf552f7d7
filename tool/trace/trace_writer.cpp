// SPDX-License-Identifier: MIT
#include "tool/trace/trace_writer.hpp"

#include <algorithm>
#include <system_error>

#include "tool/trace/metadata.hpp"

namespace nmisafe::tool {

namespace {

// Only if nothing but a trace of ours is in it.
std::string empty_folder(const std::filesystem::path& folder, bool replace, folder_lock& lock) {
    std::error_code error;
    if (!std::filesystem::exists(folder, error)) {
        std::filesystem::create_directories(folder, error);
        return error ? error.message() : lock.take_silently(folder);
    }
    if (!std::filesystem::is_directory(folder, error)) {
        return "it exists, and is no folder";
    }
    if (const std::string why = lock.take_silently(folder); !why.empty()) {
        return why;
    }
    if (std::filesystem::is_empty(folder, error)) {
        return {};
    }
    if (!replace || !std::filesystem::exists(folder / ".nmisafe.json", error)) {
        return "it exists, and is not empty";
    }
    for (const auto& one : std::filesystem::directory_iterator(folder, error)) {
        if (one.is_regular_file(error)) {
            std::filesystem::remove(one.path(), error);
        }
    }
    return error ? error.message() : std::string();
}

void check(const output_file& file) {
    if (!file.error().empty()) {
        throw trace_error(file.error());
    }
}

std::string_view as_text(const void* bytes, std::size_t size) {
    return {static_cast<const char*>(bytes), size};
}

} // namespace

trace_writer::trace_writer(std::filesystem::path folder, trace_description about, bool replace,
                           trace_format format)
    : folder_(std::move(folder)), about_(std::move(about)), format_(format) {
    if (const std::string why = empty_folder(folder_, replace, lock_); !why.empty()) {
        throw trace_error(folder_.string() + ": " + why);
    }
    write_metadata();
}

trace_writer::~trace_writer() = default;

// By a name that readers ignore: whoever looks into the folder meanwhile finds each file whole.
void trace_writer::write_file(const std::string& name, const std::string& text) {
    const std::filesystem::path hidden = folder_ / (".new." + name);
    std::error_code error;
    std::string why = write_whole(hidden, text);
    if (why.empty()) {
        std::filesystem::rename(hidden, folder_ / name, error);
        why = error ? (folder_ / name).string() + ": " + error.message() : "";
    }
    if (!why.empty()) {
        throw trace_error(why);
    }
}

void trace_writer::write_metadata() {
    if (const std::string why = check_description(about_); !why.empty()) {
        throw trace_error(folder_.string() + ": " + why);
    }
    write_file(".nmisafe.json", write_sidecar(about_));
    if (format_ == trace_format::ctf2) {
        write_file("metadata", write_ctf2(about_));
        return;
    }
    write_file(".metadata.ctf2", write_ctf2(about_));
    write_file("metadata", write_tsdl(about_));
}

trace_writer::stream& trace_writer::find(const std::string& name) {
    std::unique_ptr<stream>& found = streams_[name];
    if (found == nullptr) {
        if (name.empty() || name.front() == '.' || name == "metadata" ||
            name.find('/') != std::string::npos) {
            streams_.erase(name);
            throw trace_error("a stream cannot have the name \"" + name + "\"");
        }
        found = std::make_unique<stream>();
        found->file.open(folder_ / name);
        check(found->file);
    }
    return *found;
}

void trace_writer::add_stream(const std::string& name) {
    find(name);
}

append_result trace_writer::append(const std::string& name, std::span<const std::uint8_t> packet) {
    if (indexed_ != about_.events.size() || indexed_at_ != about_.events.data()) {
        index_ = event_index(about_.events);
        indexed_ = about_.events.size();
        indexed_at_ = about_.events.data();
    }
    stream& to = find(name);
    const repaired_packet good = repair(packet, to.state, about_, index_);
    append_result result{good.is_good, good.events, {}, good.problems};
    if (good.is_good) {
        constexpr std::size_t head = sizeof good.header;
        to.file.write(as_text(&good.header, head));
        to.file.write(as_text(packet.data() + head, good.content - head));
        check(to.file);
        go_on(to.state, good.header, good.last_time);
    }
    std::copy(std::begin(to.state.lost), std::end(to.state.lost), result.lost);
    return result;
}

void trace_writer::finish() {
    for (const auto& [name, one] : streams_) {
        one->file.close();
        check(one->file);
    }
    write_metadata();
}

} // namespace nmisafe::tool
