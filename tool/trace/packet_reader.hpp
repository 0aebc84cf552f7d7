// SPDX-License-Identifier: MIT
// The packets of a stream file, one after the other. What is between them is left out, and said.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tool/trace/byte_source.hpp"
#include "tool/trace/packet.hpp"
#include "tool/trace/problems.hpp"

namespace nmisafe::tool {

class packet_reader {
  public:
    packet_reader(std::unique_ptr<byte_source> from, std::string name,
                  const trace_description& about, trace_problems& problems);

    // false: there is no more.
    bool next();

    // Of the packet, until next(). Its header is good all by itself, its content may be shorter than the
    // header says, where the file is.
    const ring_buffer::packet_header& header() const { return header_; }
    std::span<const std::uint8_t> content() const { return {buffer_.data(), content_}; }

    std::uint64_t offset() const { return offset_; } // of this packet
    const std::string& name() const { return name_; }
    std::uint64_t size() const { return source_->size(); }
    void report(const std::string& what);

  private:
    bool find(std::uint64_t from);

    std::unique_ptr<byte_source> source_;
    std::string name_;
    const trace_description& about_;
    trace_problems& problems_;
    std::vector<std::uint8_t> buffer_;
    ring_buffer::packet_header header_{};
    std::size_t content_ = 0;
    std::uint64_t offset_ = 0;
    std::uint64_t next_ = 0;
    bool has_found_ = false;
};

} // namespace nmisafe::tool
