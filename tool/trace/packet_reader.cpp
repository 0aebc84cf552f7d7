// SPDX-License-Identifier: MIT
#include "tool/trace/packet_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace nmisafe::tool {

namespace {

constexpr std::uint64_t most_content = std::uint64_t{1} << 30; // a block of buffers is below 2 GiB
constexpr std::size_t chunk = 1 << 16;

// What each packet of the trace begins with: magic, uuid, stream's number.
using opening = std::array<std::uint8_t, 24>;

opening opening_of(const trace_description& about) {
    opening made;
    std::memcpy(made.data(), &ring_buffer::packet_magic, 4);
    std::copy(about.uuid.begin(), about.uuid.end(), made.begin() + 4);
    std::memcpy(made.data() + 20, &about.stream_id, 4);
    return made;
}

} // namespace

packet_reader::packet_reader(std::unique_ptr<byte_source> from, std::string name,
                             const trace_description& about, trace_problems& problems)
    : source_(std::move(from)), name_(std::move(name)), about_(about), problems_(problems) {}

void packet_reader::report(const std::string& what) {
    problems_.add(name_ + ", byte " + std::to_string(offset_) + ": " + what);
}

// The next beginning of a packet at or behind `from`, into next_.
bool packet_reader::find(std::uint64_t from) {
    const opening wanted = opening_of(about_);
    std::vector<std::uint8_t> bytes(chunk);
    while (from + wanted.size() <= source_->size()) {
        const std::size_t got = source_->read(from, bytes);
        if (got < wanted.size()) {
            return false;
        }
        const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(got);
        const auto found = std::search(bytes.begin(), end, wanted.begin(), wanted.end());
        if (found != end) {
            next_ = from + static_cast<std::uint64_t>(found - bytes.begin());
            return true;
        }
        from += got - wanted.size() + 1;
    }
    return false;
}

bool packet_reader::next() {
    while (next_ < source_->size()) {
        offset_ = next_;
        buffer_.resize(std::max(buffer_.size(), sizeof header_));
        const std::size_t got = source_->read(offset_, {buffer_.data(), sizeof header_});
        if (got == 0) {
            break;
        }
        std::string why = check_header({buffer_.data(), got}, about_);
        if (why.empty()) {
            header_ = load_header(buffer_.data());
            if (header_.content_size / bits_of_byte > most_content) {
                why = "the packet's content is too large";
            }
        }
        if (!why.empty()) {
            if (!find(offset_ + 1)) {
                next_ = source_->size();
                report(why + "; " +
                       (has_found_ ? "nor is there one in the rest of the file"
                                   : "nor anywhere in the file: it is no stream of this trace"));
                return false;
            }
            report(why + "; goes on at " + std::to_string(next_));
            continue;
        }
        has_found_ = true;
        const std::uint64_t left = source_->size() - offset_;
        const std::uint64_t size = header_.packet_size / bits_of_byte;
        content_ = std::min(left, header_.content_size / bits_of_byte);
        buffer_.resize(std::max(buffer_.size(), content_));
        content_ = source_->read(offset_, {buffer_.data(), content_});
        if (content_ < sizeof header_) {
            break;
        }
        if (size <= left) {
            next_ = offset_ + size;
        } else {
            report("the file ends inside the packet");
            // Or its size is what is wrong, and others follow.
            if (!find(offset_ + sizeof header_)) {
                next_ = source_->size();
            }
            content_ = std::min<std::uint64_t>(content_, next_ - offset_);
        }
        return true;
    }
    return false;
}

} // namespace nmisafe::tool
