// SPDX-License-Identifier: MIT
// The sweep by forks.
#include <algorithm>
#include <cerrno>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/torture/plugin/output.hpp"
#include "tool/torture/plugin/sweep.hpp"

namespace nmisafe::torture {

bool sweep::is_wanted_boundary(uint64_t step, uint64_t pc) const {
    if (options_.only.empty()) {
        return step >= options_.first && step <= options_.last;
    }
    const auto before =
        static_cast<uint64_t>(std::count(pass_.walked().begin(), pass_.walked().end(), pc));
    return std::find(options_.only.begin(), options_.only.end(), std::make_pair(pc, before)) !=
           options_.only.end();
}

// What a handler may leave wrong for whoever comes next. CR2 is another one each time.
std::vector<uint64_t> sweep::system_registers() const {
    const register_values all = machine_.all_registers();
    std::vector<uint64_t> some(all.begin() + reg_ss, all.end());
    some[reg_cr2 - reg_ss] = 0;
    return some;
}

// Each child would translate the rest of the path anew, as an event leaves other flags behind it (RF), and what of the handler
// is for an entry from the kernel. So one first takes an event at the path's first boundary; if it comes to the path
// again as it was, but for memory, it is who forks from there on, and this process waits for it. If not, this one goes on.
void sweep::fork_trial() {
    begun_with_ = system_registers();
    has_tried_ = true;
    const pid_t process = ::fork();
    if (process < 0) {
        fail("the emulator cannot be forked: no memory, or too many processes");
    }
    if (process == 0) {
        is_trial_ = true;
        cpu_milliseconds_ = 0; // a process begins with none
        watch_time();
        return;
    }
    int status = 0;
    while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    if (shared_.has_taken_over) {
        ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
}

// In the parent, at each boundary of its walk.
void sweep::fork_boundary() {
    if (state_ != state::on_path || is_child_) {
        return;
    }
    const uint64_t step = pass_.steps();
    if (pass_.is_behind_end(machine_.reg(reg_ip))) {
        return;
    }
    if (step == 0 && !has_tried_) {
        fork_trial();
        if (is_trial_) {
            pass_.note_raise(machine_.reg(reg_ip));
            machine_.raise(options_.raised, options_.raised_vector);
            return;
        }
    }
    if (step == 0) {
        spawn(0, true);
        if (is_child_) {
            return;
        }
        if (shared_.undisturbed == 0) {
            fail("the path has no end even when nothing disturbs it");
        }
        differences_.set_reference(shared_.reference_memory);
    }
    if (is_wanted_boundary(step, machine_.reg(reg_ip))) {
        spawn(step, false);
    }
}

void sweep::spawn(uint64_t step, bool is_reference) {
    fork_reap(is_reference ? 0 : options_.jobs - 1);
    unsigned slot = 0;
    while (slot_used_[slot]) {
        ++slot;
    }
    const pid_t process = ::fork();
    if (process < 0) {
        fail("the emulator cannot be forked: no memory, or too many processes");
    }
    if (process == 0) {
        fork_child(step, slot, is_reference);
        return;
    }
    slot_used_[slot] = true;
    children_.push_back({process, step, slot, is_reference});
    boundaries_ += !is_reference;
    if (is_reference) {
        fork_reap(0);
    }
}

void sweep::fork_child(uint64_t step, unsigned slot, bool is_reference) {
    is_child_ = true;
    is_reference_ = is_reference;
    step_ = step;
    slot_ = slot;
    queued_ = nullptr;
    accounted_ = 0;
    shared_.accounts[slot_][0] = 0;
    writes_.clear();
    watch_time();
    if (!is_reference) {
        pass_.note_raise(machine_.reg(reg_ip));
        machine_.raise(options_.raised, options_.raised_vector);
    }
}

void sweep::fork_step(const instruction& next) {
    if (is_trial_) {
        if (pass_.step(next) || pass_.is_over_limit()) {
            end_pass("end");
        }
        return;
    }
    if (!is_child_) {
        if (pass_.step(next) || pass_.has_ended() || pass_.is_over_limit()) {
            end_pass("end");
        }
        queue(&sweep::fork_boundary);
        return;
    }
    if (pass_.step(next)) {
        end_pass("end");
    }
    keep_account();
    if (pass_.is_over_limit()) {
        end_pass("limit");
    }
}

// The parent's walk or a child's pass is over.
void sweep::fork_end() {
    if (is_trial_) {
        if (!pass_.is_clean()) {
            ::_exit(lost_status);
        }
        state_ = state::waiting;
        idle_ = 0;
        return;
    }
    if (!is_child_) {
        fork_reap(0);
        path_ = pass_.walked();
        send_path();
        differences_.send(boundaries_);
        finish();
    }
    const char* const end = pass_.has_ended()       ? "end"
                            : pass_.is_over_limit() ? "limit"
                            : qemu_reset_requested_get() != 0 || qemu_shutdown_requested_get() != 0
                                ? "reset"
                            : pass_.is_halted() ? "halted"
                                                : "timeout";
    if (pass_.has_ended()) {
        writes_.list(pass_.end_sp(), (pass_.end_registers()[reg_cs] & 3) == 3,
                     is_reference_ ? shared_.reference_memory : shared_.memory[slot_]);
    }
    if (is_reference_) {
        shared_.reference = pass_.end_registers();
        shared_.undisturbed = pass_.has_ended() ? 1 : 0;
        ::_exit(said_status);
    }
    send_boundary(
        step_, 0,
        pass_.describe(end,
                       options_.begin == place::nmi ? &pass_.begin_registers() : &shared_.reference,
                       nullptr));
    ::_exit(said_status);
}

void sweep::fork_reap(unsigned allowed) {
    while (children_.size() > allowed) {
        int status = 0;
        const pid_t process = ::waitpid(-1, &status, 0);
        const auto found =
            std::find_if(children_.begin(), children_.end(),
                         [process](const child& one) { return one.process == process; });
        if (found == children_.end()) {
            continue;
        }
        const bool has_said = WIFEXITED(status) && WEXITSTATUS(status) == said_status;
        if (!has_said && !found->is_reference) {
            send_boundary(found->step, 0, account_of(found->slot, status));
            ++deaths_;
        }
        if (!found->is_reference) {
            differences_.add(found->step, shared_.memory[found->slot]);
        }
        shared_.memory[found->slot].count = 0;
        slot_used_[found->slot] = false;
        children_.erase(found);
    }
}

} // namespace nmisafe::torture
