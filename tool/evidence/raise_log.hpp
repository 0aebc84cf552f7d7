// SPDX-License-Identifier: MIT
// Finds in QEMU's log (execution_log.hpp) where devices raise NMIs while NMIs are blocked: with
// `-trace apic_deliver_irq` it holds, between the instructions' lines,
//
//   apic_deliver_irq dest 0 dest_mode 0 delivery_mode 4 vector 0 trigger_mode 0
//
// for each NMI that comes from a device (hw/intc/apic.c; one that a CPU sends itself does not go
// that way). The next line's instruction names the boundary: the NMI was raised before it.
//
// Here a line stands for a block of instructions, as long as QEMU makes it: until a jump, or until a timer is due,
// which with -icount is at an exact instruction. So a block ends where an NMI is raised. A line for each instruction
// would say the same, and take four times as long to write and to read. A window whose NMIs are pended has to begin
// with a block (the guest jumps to it): else the log does not show where its walk begins.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tool/evidence/execution_log.hpp"
#include "tool/protocol/console.hpp"

namespace nmisafe::tool {

// A path whose NMIs are pended, and how it was walked undisturbed.
struct pended_window {
    address_range range;
    window_trace walked;
};

// What must be logged to follow these windows: their instructions, and where they end. Waiting
// loops elsewhere would make the log very large.
std::vector<address_range> ranges_of(const std::map<std::string, pended_window>& windows);

class raise_analysis {
  public:
    explicit raise_analysis(const std::map<std::string, pended_window>& windows);

    // The next line of the log.
    void feed(std::string_view line);

    // For each path the instructions before which an NMI was raised inside a walk. A raise counts
    // only behind a block whose instructions lead there in the undisturbed walk as well: then none is
    // hidden between them that was not logged.
    const std::map<std::string, std::set<std::uint64_t>>& boundaries() const { return boundaries_; }
    std::uint64_t raises() const { return raises_; }

  private:
    void execute(std::uint64_t pc);
    void note_boundary(std::uint64_t pc);

    std::map<std::string, pended_window> windows_;
    std::optional<std::string> inside_; // the path being walked
    std::map<std::string, std::set<std::uint64_t>> boundaries_;
    std::optional<std::uint64_t> pending_;  // a block that was entered, not yet known to have run
    std::optional<std::uint64_t> previous_; // the last block that has run
    bool raised_ = false;                   // an NMI, since the last instruction's line
    std::uint64_t raises_ = 0;
};

} // namespace nmisafe::tool
