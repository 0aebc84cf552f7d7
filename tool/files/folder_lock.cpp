// SPDX-License-Identifier: MIT
#include "tool/files/folder_lock.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>

namespace nmisafe::tool {

folder_lock::~folder_lock() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

std::string folder_lock::take(const std::filesystem::path& folder) {
    const std::filesystem::path file = folder / "run.lock";
    const auto reason = [&] {
        return file.string() + ": " + std::generic_category().message(errno);
    };
    descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
        return reason();
    }
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return reason();
        }
        char owner[16];
        const ssize_t size = ::read(descriptor_, owner, sizeof owner);
        return folder.string() + " is in use by another run (process " +
               (size > 0 ? std::string(owner, static_cast<std::size_t>(size)) : "unknown") +
               "): wait for its end, or give this one another --out";
    }
    const std::string owner = std::to_string(::getpid());
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::write(descriptor_, owner.data(), owner.size()) != static_cast<ssize_t>(owner.size())) {
        return reason();
    }
    return {};
}

std::string folder_lock::take_silently(const std::filesystem::path& folder) {
    descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ < 0) {
        return std::generic_category().message(errno);
    }
    const bool is_taken = ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    return is_taken ? "it is being written by another process" : "";
}

} // namespace nmisafe::tool
