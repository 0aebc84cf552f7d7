// SPDX-License-Identifier: MIT
#include <algorithm>

#include "tool/trace/trace_folder.hpp"

namespace nmisafe::tool {

class trace_reader::stream {
  public:
    stream(const trace_folder& folder, std::size_t number, trace_problems& problems)
        : packets_(folder.open(number, problems)), folder_(folder) {
        event_.stream = static_cast<std::uint32_t>(number);
    }

    // What comes next, with its time; its losses come where their packet begins.
    void advance() {
        for (;;) {
            if (has_packet_ && walk_.next(event_)) {
                item_ = trace_item::event;
                time_ = event_.time;
                return;
            }
            leave_packet();
            if (!packets_.next()) {
                item_ = trace_item::end;
                time_ = ~std::uint64_t{0};
                return;
            }
            if (enter_packet()) {
                item_ = trace_item::loss;
                time_ =
                    std::max(state_.last_time, std::uint64_t{packets_.header().timestamp_begin});
                loss_.time = time_;
                return;
            }
        }
    }

    trace_item item() const { return item_; }
    std::uint64_t time() const { return time_; }
    const trace_event& event() const { return event_; }
    const trace_loss& loss() const { return loss_; }
    std::uint64_t packet_count() const { return packet_count_; }
    std::uint64_t bytes_read() const {
        return item_ == trace_item::end ? packets_.size() : packets_.offset();
    }

  private:
    void leave_packet() {
        if (!has_packet_) {
            return;
        }
        has_packet_ = false;
        if (walk_.problem() != nullptr) {
            packets_.report(std::string(walk_.problem()) + ", behind " +
                            std::to_string(walk_.count()) +
                            " events of the packet; its rest is left out");
        }
        go_on(state_, packets_.header(), walk_.last_time());
    }

    bool enter_packet() {
        const ring_buffer::packet_header& header = packets_.header();
        std::vector<std::string> problems;
        const bool has_loss = find_loss(header, state_, loss_, problems);
        if (is_no_end(header)) {
            problems.emplace_back("the packet's end has no time");
        }
        for (const std::string& one : problems) {
            packets_.report(one);
        }
        loss_.stream = event_.stream;
        event_.cpu = header.cpu_id;
        walk_ = packet_walk(packets_.content(), state_.last_time, folder_.events(),
                            folder_.description().has_context);
        has_packet_ = true;
        ++packet_count_;
        return has_loss;
    }

    packet_reader packets_;
    const trace_folder& folder_;
    stream_state state_;
    packet_walk walk_;
    bool has_packet_ = false;
    trace_event event_;
    trace_loss loss_;
    trace_item item_ = trace_item::end;
    std::uint64_t time_ = 0;
    std::uint64_t packet_count_ = 0;
};

trace_reader::trace_reader(const trace_folder& folder, trace_problems& problems,
                           const std::vector<std::size_t>& wanted) {
    for (std::size_t i = 0; i < folder.streams().size(); ++i) {
        if (wanted.empty() || std::find(wanted.begin(), wanted.end(), i) != wanted.end()) {
            streams_.push_back(std::make_unique<stream>(folder, i, problems));
            streams_.back()->advance();
        }
    }
}

trace_reader::~trace_reader() = default;

trace_item trace_reader::next() {
    if (current_ != nullptr) {
        current_->advance();
    }
    // As long as it is earlier than all others nobody has to ask them.
    if (current_ == nullptr || current_->item() == trace_item::end || current_->time() > limit_) {
        current_ = nullptr;
        limit_ = ~std::uint64_t{0};
        for (const std::unique_ptr<stream>& one : streams_) {
            if (one->item() == trace_item::end) {
                continue;
            }
            if (current_ == nullptr) {
                current_ = one.get();
            } else if (one->time() < current_->time()) {
                limit_ = current_->time();
                current_ = one.get();
            } else {
                limit_ = std::min(limit_, one->time());
            }
        }
        if (current_ == nullptr) {
            return trace_item::end;
        }
    }
    event_ = &current_->event();
    loss_ = &current_->loss();
    return current_->item();
}

std::uint64_t trace_reader::bytes_read() const {
    std::uint64_t sum = 0;
    for (const std::unique_ptr<stream>& one : streams_) {
        sum += one->bytes_read();
    }
    return sum;
}

std::uint64_t trace_reader::packets() const {
    std::uint64_t sum = 0;
    for (const std::unique_ptr<stream>& one : streams_) {
        sum += one->packet_count();
    }
    return sum;
}

} // namespace nmisafe::tool
