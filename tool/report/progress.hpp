// SPDX-License-Identifier: MIT
// What the user sees while guests run: a line for each experiment and width that is over, or,
// verbose, for each row. On a terminal, below them, one status line that is rewritten in place.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "tool/report/summary.hpp"

namespace nmisafe::tool {

// Throws when the stream cannot be written to: nobody would see what comes out.
class progress {
  public:
    progress(std::FILE* stream, bool terminal, bool verbose, const std::vector<guest_run>& runs);

    // `stage` is "", "trace" or "raises"; both numbers are 0 when the guest says nothing of its
    // progress.
    void running(const guest_run& run, const char* stage, std::uint64_t done, std::uint64_t total);
    void finished(const guest_run& run, const std::vector<judged_row>& rows, double seconds);
    // Removes the status line.
    void end();

    const summary& all() const { return summary_; }

  private:
    void show_status();

    std::FILE* stream_;
    bool terminal_;
    bool verbose_;
    std::size_t runs_;
    summary summary_;
    std::size_t finished_ = 0;
    std::map<std::string, std::string> running_; // name of the run -> how far it is
};

} // namespace nmisafe::tool
