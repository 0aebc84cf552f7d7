// SPDX-License-Identifier: MIT
// What is in a trace, counted.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "tool/convert/sink.hpp"
#include "tool/convert/timeline.hpp"

namespace nmisafe::tool {

// Of durations in nanoseconds, in the memory of a few numbers: to within an eighth.
class durations {
  public:
    void add(std::uint64_t nanoseconds);
    std::uint64_t count() const { return count_; }
    std::uint64_t smallest() const { return smallest_; }
    std::uint64_t largest() const { return largest_; }
    std::uint64_t mean() const { return count_ != 0 ? sum_ / count_ : 0; }
    // The one that so many in a thousand are not above.
    std::uint64_t quantile(unsigned in_a_thousand) const;

  private:
    std::array<std::uint64_t, 64 * 8> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t smallest_ = ~std::uint64_t{0};
    std::uint64_t largest_ = 0;
};

class statistics final : public trace_sink {
  public:
    explicit statistics(const trace_folder& folder) : folder_(folder) {}

    void event(const trace_event& one) override;
    void loss(const trace_loss& one) override;
    void finish() override;

    std::string to_text(const trace_problems& problems) const;
    std::string to_json(const trace_problems& problems) const;

  private:
    struct lost {
        std::uint64_t events[ring_buffer::loss_count]{};
        std::uint64_t packets = 0;
    };
    void take(const std::vector<span>& ended);

    const trace_folder& folder_;
    timeline timeline_;
    std::vector<span> ended_;
    std::uint64_t count_ = 0;
    std::uint64_t first_ = ~std::uint64_t{0};
    std::uint64_t last_ = 0;
    std::map<const event_type*, std::uint64_t> counts_;
    std::map<std::uint32_t, std::uint64_t> cpus_;
    std::map<std::uint32_t, lost> lost_; // by the stream
    std::map<std::string, durations> durations_;
};

} // namespace nmisafe::tool
