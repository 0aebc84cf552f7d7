// SPDX-License-Identifier: MIT
// Files that hold a machine's memory: QEMU's `pmemsave` (raw), the ELF core of its `dump-guest-memory`, and
// the file of a memory backend.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tool/memory/guest_memory.hpp"

namespace nmisafe::tool {

struct image_layout {
    guest_memory memory;
    std::string kind;                  // "raw memory", "ELF core"
    std::vector<std::string> problems; // what is missing of it
};

// How an image's bytes lie in memory. Of a raw one nothing tells, so it begins at `base`. Throws a
// trace_error, without a file's name: it is another kind of file, which is named.
image_layout read_layout(std::span<const std::uint8_t> image, std::uint64_t base);

// Maps a file, for as long as this lives.
class memory_image {
  public:
    // Throws a trace_error.
    explicit memory_image(const std::filesystem::path& file);
    ~memory_image();
    memory_image(const memory_image&) = delete;
    memory_image& operator=(const memory_image&) = delete;

    std::span<const std::uint8_t> bytes() const { return bytes_; }

  private:
    std::span<const std::uint8_t> bytes_;
};

} // namespace nmisafe::tool
