// SPDX-License-Identifier: MIT
// The sweep: how a guest is taken to the path's beginning, and the two ways from there.
//
//   loop  a fork of the emulator takes the path again and again; the k-th time the event comes at the k-th boundary.
//         When it has died of one, or is not as it was, another fork goes on behind it.
//   fork  the emulator walks the path once and forks at each boundary; the child raises the event there.
#pragma once

#include <cstdint>
#include <string>

#include "tool/torture/plugin/machine.hpp"
#include "tool/torture/plugin/memory.hpp"
#include "tool/torture/plugin/pass.hpp"

namespace nmisafe::torture {

// How a child ends that has said all itself; a guest may end the emulator with any other status.
enum exit_status { over_status = 120, next_status = 121, lost_status = 122, said_status = 123 };

// What the processes have in common. Of one writer at a time.
struct shared_state {
    register_values reference, noise; // noise: not 0 where undisturbed passes differ
    uint64_t undisturbed;             // passes of these so far
    bool is_settled;                  // there were enough
    uint64_t next_step, next_second;  // where the loop's next fork goes on
    uint64_t last_step, last_second;  // the last one that has come to an end
    bool is_on_path;
    bool has_path;                   // it was sent
    bool has_taken_over;             // the trial
    uint64_t instructions_of_others; // other CPUs', in all passes
    granule_list reference_memory;
    static constexpr unsigned slots = 16;
    granule_list memory[slots];
    // What is known of a child's pass, if the guest ends the emulator before the pass has ended.
    static constexpr unsigned longest_account = 1 << 16;
    char accounts[slots][longest_account];
};

class sweep {
  public:
    sweep(const options& wanted, shared_state& shared)
        : options_(wanted), shared_(shared), pass_(machine_, options_) {}

    machine& guest() { return machine_; }
    const options& wanted() const { return options_; }
    bool is_armed() const { return state_ != state::booting; }
    // At the translation of an instruction: whether it may be the path's first.
    bool may_begin(uint64_t pc) const;
    // Before each instruction; while the guest boots, before those that may begin the path or print.
    void on_instruction(const instruction& next);
    // Before each of another CPU, while the path is swept.
    void on_others() { shared_.instructions_of_others += state_ == state::on_path; }
    // Before one that writes a port, of any CPU, while the guest boots.
    void on_print(const machine& on, const instruction& next);
    void on_store(plugin_memory_info info, uint64_t address);
    void on_alarm();

  private:
    enum class state : uint8_t { booting, arming, waiting, entering, on_path, over };

    void look_for_start(const instruction& next);
    void queue(void (sweep::*what)());
    void run_queued();
    void arm();
    bool is_warm();
    void warm_up();
    void interrupt_for_path(); // an NMI's own path: raises it
    void at_begin();
    void begin_pass();
    void end_pass(const char* end);
    void send_path();
    void keep_account();
    std::string account_of(unsigned slot, int status);

    void loop_fork();
    void loop_step(const instruction& next);
    void loop_raise();
    void loop_next();
    void loop_judge(int status);
    [[noreturn]] void loop_leave(int status);

    void fork_trial();
    std::vector<uint64_t> system_registers() const;
    void fork_boundary();
    void fork_child(uint64_t step, unsigned slot, bool is_reference);
    void fork_step(const instruction& next);
    void fork_reap(unsigned allowed);
    void fork_end();
    void spawn(uint64_t step, bool is_reference);
    bool is_wanted_boundary(uint64_t step, uint64_t pc) const;

    void watch_time();
    void forget_time();
    void send_boundary(uint64_t step, uint64_t second, const std::string& result);
    [[noreturn]] void finish();
    [[noreturn]] void fail(const std::string& why);

    options options_;
    shared_state& shared_;
    machine machine_;
    pass pass_;
    memory_writes writes_;
    memory_differences differences_;

    state state_ = state::booting;
    void (sweep::*queued_)() = nullptr;
    std::string printed_;
    uint64_t times_ = 0; // the path was taken
    uint64_t idle_ = 0;  // instructions since the last pass
    unsigned warm_ups_ = 0;
    uint64_t warm_up_instructions_ = 0;
    bool is_child_ = false, is_reference_ = false, is_undisturbed_ = false;
    bool has_tried_ = false, is_trial_ = false;
    std::vector<uint64_t> begun_with_; // the trial
    register_values interrupted_{};
    std::vector<uint64_t> path_; // the undisturbed one
    uint64_t alike_ = 0;         // undisturbed passes of its length
    uint64_t step_ = 0,
             second_ = 0; // where this pass's event comes; the second one so far behind its entry
    bool second_raised_ = false;
    uint64_t accounted_ = 0; // entries
    uint64_t boundaries_ = 0, deaths_ = 0, cpu_milliseconds_ = 0;
    unsigned slot_ = 0;
    bool slot_used_[shared_state::slots] = {};
    struct child {
        int process;
        uint64_t step;
        unsigned slot;
        bool is_reference;
    };
    std::vector<child> children_;
    uint64_t seen_steps_ = 0; // of on_alarm()
    uint64_t quiet_ticks_ = 0, ticks_ = 0;
};

} // namespace nmisafe::torture
