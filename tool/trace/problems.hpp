// SPDX-License-Identifier: MIT
// What is wrong with a trace that is read all the same. All are counted, the first are kept.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace nmisafe::tool {

class trace_problems {
  public:
    void add(std::string what) {
        ++count_;
        if (kept_.size() < most_kept) {
            kept_.push_back(std::move(what));
        }
    }

    std::uint64_t count() const { return count_; }
    const std::vector<std::string>& kept() const { return kept_; }

  private:
    static constexpr std::size_t most_kept = 100;

    std::uint64_t count_ = 0;
    std::vector<std::string> kept_;
};

} // namespace nmisafe::tool
