// SPDX-License-Identifier: MIT
// Bytes that are read piece by piece: a file, or memory in tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace nmisafe::tool {

class byte_source {
  public:
    virtual ~byte_source() = default;
    virtual std::uint64_t size() const = 0;
    // How many could be read; fewer than asked for at the end, and where the file has become shorter.
    // Throws a trace_error.
    virtual std::size_t read(std::uint64_t offset, std::span<std::uint8_t> to) const = 0;
};

// Throws a trace_error: "trace/metadata: No such file or directory".
std::unique_ptr<byte_source> open_file(const std::filesystem::path& file);
// `bytes` must stay.
std::unique_ptr<byte_source> open_memory(const std::string& bytes);

} // namespace nmisafe::tool
