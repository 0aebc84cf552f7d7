// SPDX-License-Identifier: MIT
// The sweep in a loop.
#include <cerrno>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/torture/plugin/output.hpp"
#include "tool/torture/plugin/sweep.hpp"

namespace nmisafe::torture {

namespace {

// Undisturbed passes, until so many of the shortest length there is were seen: before, a guest may still be finishing what it
// did when it came to the path. What differs between them is noise. One that never settles has most of them.
constexpr uint64_t alike = 4, most_undisturbed = 60;
constexpr uint64_t most_deaths = 100000;

} // namespace

// In the parent: returns in each child. The parent itself never goes on.
void sweep::loop_fork() {
    shared_.next_step = options_.first;
    shared_.next_second = 0;
    for (;;) {
        const pid_t process = ::fork();
        if (process < 0) {
            fail("the emulator cannot be forked: no memory, or too many processes");
        }
        if (process == 0) {
            is_child_ = true;
            watch_time();
            loop_next();
            return;
        }
        const bool was_settled = shared_.is_settled;
        int status = 0;
        while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == over_status) {
            finish();
        }
        if (++deaths_ > most_deaths) {
            fail("too many boundaries after which the guest is not as it was");
        }
        if (!was_settled && shared_.next_step == options_.first && !shared_.has_path) {
            fail(shared_.is_on_path ? "the path has no end, even when nothing disturbs it"
                                    : "the path is not taken again, even when nothing disturbs it");
        }
        loop_judge(status);
    }
}

// A child has ended, and not because all is done.
void sweep::loop_judge(int status) {
    const bool has_said = WIFEXITED(status) && WEXITSTATUS(status) == next_status;
    if (has_said) {
        return;
    }
    const std::string result = account_of(slot_, status);
    if (shared_.is_on_path) {
        send_boundary(shared_.next_step, shared_.next_second, result);
        ++shared_.next_step;
        shared_.next_second = 0;
    } else if (shared_.is_settled &&
               shared_.next_step != options_.first) { // the last one did more than was seen
        send_boundary(shared_.last_step, shared_.last_second, result);
    } else {
        fail("the guest ends, or never takes the path again, even when nothing disturbs it");
    }
    shared_.is_on_path = false;
}

// What this process's next pass is to be.
void sweep::loop_next() {
    is_undisturbed_ = !shared_.is_settled;
    step_ = shared_.next_step;
    second_ = shared_.next_second;
}

void sweep::loop_raise() {
    if (state_ != state::on_path) {
        return;
    }
    if (pass_.is_behind_end(machine_.reg(reg_ip))) {
        return;
    }
    if (pass_.was_raised()) { // the second of a pair
        second_raised_ = true;
    }
    pass_.note_raise(machine_.reg(reg_ip));
    machine_.raise(options_.raised, options_.raised_vector);
}

void sweep::loop_step(const instruction& next) {
    if (pass_.step(next)) {
        end_pass("end");
        return;
    }
    if (pass_.is_over_limit()) {
        end_pass("limit");
    }
    if (is_undisturbed_) {
        return;
    }
    keep_account();
    // The work is done behind this instruction.
    if (!pass_.was_raised() && pass_.steps() == step_ && !pass_.has_ended()) {
        queue(&sweep::loop_raise);
    } else if (options_.pairs && !second_raised_ && pass_.entries_since_raise() != 0 &&
               pass_.steps() == pass_.steps_at_entry() + second_ + 1 && !pass_.has_ended()) {
        queue(&sweep::loop_raise);
    }
}

// Of a pass that has come to its end, or that is given up; from on_alarm() too.
void sweep::end_pass(const char* end) {
    const bool has_ended = pass_.has_ended();
    if (state_ != state::on_path) {
        loop_leave(lost_status);
    }
    if (options_.by_fork) {
        fork_end();
        return;
    }
    state_ = state::waiting;
    shared_.is_on_path = false;
    idle_ = 0;
    if (is_undisturbed_) {
        if (!has_ended) {
            loop_leave(next_status);
        }
        const register_values& now = pass_.end_registers();
        // The first one may have begun in the middle: at the second time of an instruction that faults.
        if (++shared_.undisturbed == 1) {
            loop_next();
            return;
        }
        const size_t length = pass_.walked().size();
        if (path_.empty() || length < path_.size()) {
            path_ = pass_.walked();
            shared_.reference = now;
            shared_.noise = {};
            alike_ = 0;
        }
        if (length == path_.size() || shared_.undisturbed + 2 * alike > most_undisturbed) {
            for (unsigned i = 0; i < register_count; ++i) {
                shared_.noise[i] |= now[i] ^ shared_.reference[i];
            }
            ++alike_;
        }
        if (alike_ == alike || shared_.undisturbed == most_undisturbed) {
            shared_.is_settled = true;
            send_path();
        }
        loop_next();
        return;
    }
    if (!pass_.was_raised()) { // the path is shorter than that
        loop_leave(over_status);
    }
    const bool is_nmi_path = options_.begin == place::nmi;
    if (!options_.pairs || second_raised_ || second_ == 0) {
        send_boundary(step_, second_,
                      pass_.describe(end,
                                     is_nmi_path ? &pass_.begin_registers() : &shared_.reference,
                                     is_nmi_path ? nullptr : &shared_.noise));
    }
    shared_.last_step = step_;
    shared_.last_second = second_;
    if (options_.pairs && second_raised_) {
        ++shared_.next_second;
    } else {
        ++shared_.next_step;
        shared_.next_second = 0;
    }
    if (shared_.next_step > options_.last) {
        loop_leave(over_status);
    }
    if (!pass_.is_clean()) {
        loop_leave(next_status);
    }
    loop_next();
}

void sweep::loop_leave(int status) {
    ::_exit(status);
}

} // namespace nmisafe::torture
