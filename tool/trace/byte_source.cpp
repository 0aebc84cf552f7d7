// SPDX-License-Identifier: MIT
#include "tool/trace/byte_source.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "tool/trace/description.hpp"

namespace nmisafe::tool {

namespace {

class file_source final : public byte_source {
  public:
    explicit file_source(std::filesystem::path file) : file_(std::move(file)) {
        descriptor_ = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        struct stat found {};
        if (descriptor_ < 0 || ::fstat(descriptor_, &found) != 0) {
            fail(errno);
        }
        if (!S_ISREG(found.st_mode)) {
            fail(S_ISDIR(found.st_mode) ? EISDIR : ESPIPE);
        }
        size_ = static_cast<std::uint64_t>(found.st_size);
    }
    ~file_source() override { ::close(descriptor_); }
    file_source(const file_source&) = delete;
    file_source& operator=(const file_source&) = delete;

    std::uint64_t size() const override { return size_; }

    std::size_t read(std::uint64_t offset, std::span<std::uint8_t> to) const override {
        std::size_t done = 0;
        while (done != to.size()) {
            const ssize_t got = ::pread(descriptor_, to.data() + done, to.size() - done,
                                        static_cast<off_t>(offset + done));
            if (got == 0) {
                break;
            }
            if (got < 0 && errno != EINTR) {
                throw trace_error(file_.string() + ": " + std::generic_category().message(errno));
            }
            done += got > 0 ? static_cast<std::size_t>(got) : 0;
        }
        return done;
    }

  private:
    [[noreturn]] void fail(int error) {
        if (descriptor_ >= 0) {
            ::close(descriptor_);
        }
        throw trace_error(file_.string() + ": " + std::generic_category().message(error));
    }

    std::filesystem::path file_;
    int descriptor_ = -1;
    std::uint64_t size_ = 0;
};

class memory_source final : public byte_source {
  public:
    explicit memory_source(const std::string& bytes) : bytes_(bytes) {}

    std::uint64_t size() const override { return bytes_.size(); }

    std::size_t read(std::uint64_t offset, std::span<std::uint8_t> to) const override {
        if (offset >= bytes_.size()) {
            return 0;
        }
        const std::size_t count = std::min<std::uint64_t>(to.size(), bytes_.size() - offset);
        std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), count, to.begin());
        return count;
    }

  private:
    const std::string& bytes_;
};

} // namespace

std::unique_ptr<byte_source> open_file(const std::filesystem::path& file) {
    return std::make_unique<file_source>(file);
}

std::unique_ptr<byte_source> open_memory(const std::string& bytes) {
    return std::make_unique<memory_source>(bytes);
}

} // namespace nmisafe::tool
