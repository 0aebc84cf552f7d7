// SPDX-License-Identifier: MIT
// One time through the path: who enters the handler while it is open, and where the path ends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tool/torture/plugin/instruction.hpp"
#include "tool/torture/plugin/machine.hpp"

namespace nmisafe::torture {

// CR2 where a path from user mode begins with something else than a page fault: nobody needs it then, and a handler that
// leaves it another one is found, as it may have come when somebody did.
inline constexpr uint64_t dead_cr2 = 0x5a5a5000;

struct handler_entry {
    uint64_t ip, sp;             // what the frame holds
    uint64_t frame;              // where it is
    bool nested;                 // while the handler was open
    bool overwritten;            // on the frame of one that was
    bool was_returning;          // the instruction before it was a return
    bool is_over;                // it has returned, and an interrupt was taken there at once
    std::vector<uint64_t> stack; // from the frame on, if wanted
};

class pass {
  public:
    pass(const machine& on, const options& wanted) : machine_(on), options_(wanted) {}

    // At the boundary before the path's first instruction. `interrupted`: of an NMI's own path, what it has
    // interrupted, and then the frame is its own.
    void begin(const register_values* interrupted);
    // Right before `next` is executed. True if there is nothing more to be seen.
    bool step(const instruction& next);
    // At a boundary: the event was raised here.
    void note_raise(uint64_t at);

    // The path has no further instruction: this boundary is behind its last one.
    bool is_behind_end(uint64_t pc);

    uint64_t steps() const { return steps_; }
    bool has_ended() const {
        return has_ended_;
    } // what follows is the wait for an event that is pending
    bool is_pending() const { return raised_ && entries_since_raise_ == 0; }
    bool was_raised() const { return raised_; }
    bool is_over_limit() const { return steps_ > options_.limit; }
    uint64_t entries_since_raise() const { return entries_since_raise_; }
    uint64_t steps_at_entry() const { return steps_at_entry_; } // of the raise
    uint64_t last_pc() const { return previous_pc_; }
    bool is_halted() const { return previous_ == kind::halts; }
    bool is_clean() const; // whoever comes next finds the machine as it was
    const register_values& end_registers() const { return end_registers_; }
    const register_values& begin_registers() const { return begin_registers_; }
    const std::vector<uint64_t>& walked() const { return walked_; } // until the raise
    uint64_t end_sp() const { return end_registers_[reg_sp]; }
    bool is_in_handler() const { return !open_.empty(); }

    // How it went, for the command. `expected`: null if there is nothing to compare with.
    std::string describe(const char* end, const register_values* expected,
                         const register_values* noise) const;

  private:
    void enter();
    bool is_interrupted_at(const handler_entry& entry, uint64_t sp) const;
    bool has_left(uint64_t pc, uint64_t sp) const; // the innermost open handler
    void close(size_t which);
    bool is_blocked() const;
    bool is_at_end(uint64_t pc) const;
    void find_end();

    const machine& machine_;
    const options& options_;

    uint64_t handler_ = 0, double_fault_ = 0;
    uint64_t fault_handlers_[5] = {};
    bool is_wide_ = false, is_nmi_path_ = false, from_user_ = false, is_function_ = false,
         keeps_cr2_ = false;
    bool begun_blocked_ = false, ended_blocked_ = false;
    uint64_t saved_sp_ = 0, return_ip_ = 0, begin_sp_ = 0;

    uint64_t steps_ = 0;
    kind previous_ = kind::other;
    uint64_t previous_pc_ = 0;
    bool returned_ = false;
    bool has_ended_ = false;
    uint64_t steps_at_end_ = 0;

    bool raised_ = false, raised_blocked_ = false, raised_in_shadow_ = false,
         raised_behind_sti_ = false, raised_pending_ = false;
    uint64_t raised_at_ = 0, steps_at_raise_ = 0, steps_at_entry_ = 0, occurrence_ = 0;
    uint64_t raises_ = 0, entries_ = 0, entries_since_raise_ = 0, nested_ = 0, overwritten_ = 0;
    uint64_t deepest_ = 0, moved_ = 0, iret_faults_ = 0;
    bool double_faulted_ = false;
    std::vector<handler_entry> open_, seen_;
    std::vector<uint64_t> walked_;
    register_values begin_registers_{}, end_registers_{}, raise_registers_{};
};

} // namespace nmisafe::torture
