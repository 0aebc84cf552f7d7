// SPDX-License-Identifier: MIT
// What the user sees while guests run. On a terminal: finished rows, and below them one status line
// that is rewritten in place. Elsewhere: a plain line for each finished row.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "tool/evidence/verdict.hpp"

namespace nmisafe::tool {

// Throws when the stream cannot be written to: nobody would see what comes out.
class progress {
  public:
    progress(std::FILE* stream, bool terminal, std::size_t runs);

    // `stage` is "", "trace" or "raises"; both numbers are 0 when the guest says nothing of its
    // progress.
    void running(const guest_run& run, const char* stage, std::uint64_t done, std::uint64_t total);
    void finished(const guest_run& run, const std::vector<judged_row>& rows, double seconds);
    // Removes the status line.
    void end();

  private:
    void show_status();

    std::FILE* stream_;
    bool terminal_;
    std::size_t runs_;
    std::size_t finished_ = 0;
    std::map<std::string, std::string> running_; // name of the run -> how far it is
};

} // namespace nmisafe::tool
