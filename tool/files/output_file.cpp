// SPDX-License-Identifier: MIT
#include "tool/files/output_file.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <stdexcept>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace nmisafe::tool {

void print_now(std::FILE* stream, std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stream) != text.size() ||
        std::fflush(stream) != 0) {
        throw std::runtime_error("standard output: " + std::generic_category().message(errno));
    }
}

void output_file::open(const std::filesystem::path& file) {
    close();
    file_ = file;
    error_.clear();
    descriptor_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
        fail();
    }
}

void output_file::write(std::string_view bytes) {
    while (!bytes.empty() && error_.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno != EINTR) {
            fail();
        }
    }
}

void output_file::check_room() {
    // A write that has to have another block; then as before.
    constexpr std::array<char, 1u << 16> more{};
    struct stat found {};
    if (!error_.empty()) {
        return;
    }
    if (::fstat(descriptor_, &found) != 0 ||
        ::pwrite(descriptor_, more.data(), more.size(), found.st_size) < 0) {
        fail();
    }
    if (S_ISREG(found.st_mode) && ::ftruncate(descriptor_, found.st_size) != 0) {
        fail();
    }
}

void output_file::close() {
    if (descriptor_ >= 0 && ::close(descriptor_) != 0) {
        fail(); // some file systems tell only now
    }
    descriptor_ = -1;
}

void output_file::fail() {
    if (error_.empty()) {
        error_ = file_.string() + ": " + std::generic_category().message(errno);
    }
}

std::string write_whole(const std::filesystem::path& file, std::string_view text) {
    const std::filesystem::path unfinished = file.string() + ".unfinished";
    output_file stream;
    stream.open(unfinished);
    stream.write(text);
    stream.close();
    std::error_code error;
    if (!stream.error().empty()) {
        std::filesystem::remove(unfinished, error);
        return stream.error();
    }
    std::filesystem::rename(unfinished, file, error);
    return error ? file.string() + ": " + error.message() : std::string();
}

} // namespace nmisafe::tool
