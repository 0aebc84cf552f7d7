// SPDX-License-Identifier: MIT
#include "tool/torture/plugin/sweep.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <pthread.h>
#include <set>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/torture/plugin/output.hpp"

namespace nmisafe::torture {

namespace {

constexpr unsigned warm_ups = 2;
constexpr uint64_t between_passes = 100; // instructions until the next NMI whose handler is swept
constexpr uint64_t most_idle = 10000000; // instructions until the path is taken again
constexpr uint64_t most_of_a_warm_up = 200000;
constexpr unsigned ticks_a_second = 50;

sweep* the_one;

void when_alarmed(int) {
    the_one->on_alarm();
}

uint64_t cpu_milliseconds() {
    uint64_t all = 0;
    for (const int whose : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
        rusage used = {};
        ::getrusage(whose, &used);
        for (const timeval& time : {used.ru_utime, used.ru_stime}) {
            all += static_cast<uint64_t>(time.tv_sec) * 1000 +
                   static_cast<uint64_t>(time.tv_usec) / 1000;
        }
    }
    return all;
}

// Of the guest's memory the emulator says that no fork shall have it. Where the host can, small pages become large ones: it is
// their number that a fork costs.
void let_forks_have_all_memory() {
    constexpr int advice_collapse = 25; // MADV_COLLAPSE, since Linux 6.1
    std::FILE* const file = std::fopen("/proc/self/maps", "r");
    char text[600];
    while (file != nullptr && std::fgets(text, sizeof text, file) != nullptr) {
        unsigned long begin = 0, end = 0;
        char rights[8] = {};
        if (std::sscanf(text, "%lx-%lx %7s", &begin, &end, rights) == 3 && rights[0] == 'r') {
            void* const at = reinterpret_cast<void*>(begin);
            ::madvise(at, end - begin, MADV_DOFORK); // not of all can it be asked
            if (rights[1] == 'w' && rights[3] == 'p') {
                ::madvise(at, end - begin, advice_collapse);
            }
        }
    }
    if (file != nullptr) {
        std::fclose(file);
    }
}

} // namespace

bool sweep::may_begin(uint64_t pc) const {
    switch (options_.begin) {
    case place::gate:
        return machine_.gate(options_.vector) == pc;
    case place::timer: {
        const unsigned vector = machine_.timer_vector();
        return vector != 0 && machine_.gate(vector) == pc;
    }
    case place::syscall:
        return machine_.msr_lstar() == pc;
    case place::sysenter:
        return machine_.msr_sysenter_eip() == pc;
    case place::address:
    case place::nmi:
        return options_.begin_address == pc;
    }
    return false;
}

void sweep::queue(void (sweep::*what)()) {
    if (queued_ == nullptr) {
        queued_ = what;
        the_one = this;
        async_run_on_cpu(
            machine_.cpu(), [](cpu_state*, uint64_t) { the_one->run_queued(); }, 0);
    }
}

// Work that is queued from here would run before the guest moves: the next is queued from a callback.
void sweep::run_queued() {
    void (sweep::*const what)() = queued_;
    queued_ = nullptr;
    if (what != nullptr) {
        (this->*what)();
    }
}

void sweep::on_print(const machine& on, const instruction& next) {
    constexpr uint64_t serial = 0x3f8, debug_console = 0xe9;
    const uint64_t port =
        next.what == kind::writes_named_port ? next.bytes[next.size - 1] : on.reg(reg_dx) & 0xffff;
    if (options_.after.empty() || (port != serial && port != debug_console)) {
        return;
    }
    auto byte = static_cast<uint8_t>(on.reg(reg_ax));
    if (next.what == kind::writes_string) {
        on.read(on.reg(reg_si), &byte, sizeof byte);
    }
    printed_ += static_cast<char>(byte);
    if (printed_.size() > options_.after.size()) {
        printed_.erase(0, printed_.size() - options_.after.size());
    }
    if (printed_ == options_.after) {
        options_.after.clear();
        line("printed").send();
    }
}

// While the guest boots: once it has printed what it is to, and has taken the path often enough, each instruction is
// looked at.
void sweep::look_for_start(const instruction& next) {
    if (!options_.after.empty()) {
        return;
    }
    const bool is_anywhere = options_.begin == place::nmi && options_.begin_address == 0;
    if (is_anywhere ? is_print(next.what) : next.may_begin && ++times_ >= options_.nth) {
        state_ = state::arming;
        queue(&sweep::arm);
    }
}

void sweep::arm() {
    if (const std::string missing = machine_.missing(); !missing.empty()) {
        fail(missing);
    }
    if (!machine_.step_single_instructions()) {
        fail("this emulator has no way to execute single instructions");
    }
    line("armed").number("width", machine_.is_wide() ? 64 : 32).send();
    state_ = state::waiting;
}

void sweep::on_instruction(const instruction& next) {
    switch (state_) {
    case state::booting:
        look_for_start(next);
        return;
    case state::arming:
    case state::over:
        return;
    case state::waiting:
        if (++idle_ > most_idle && (is_child_ || is_trial_)) {
            loop_leave(lost_status);
        }
        if (!is_warm()) {
            return;
        }
        if (options_.begin == place::nmi) {
            if (options_.begin_address != 0
                    ? next.pc == options_.begin_address
                    : idle_ > between_passes && !machine_.blocks_nmis() &&
                          (!options_.in_user_mode || machine_.is_user_program(next.pc))) {
                queue(&sweep::interrupt_for_path);
                state_ = state::entering;
                idle_ = 0;
            }
        } else if (next.may_begin) {
            queue(&sweep::at_begin);
            cpu_loop_exit(machine_.cpu());
        }
        return;
    case state::entering:
        if (next.pc == machine_.gate(2)) {
            queue(&sweep::at_begin);
            cpu_loop_exit(machine_.cpu());
        }
        return;
    case state::on_path:
        options_.by_fork ? fork_step(next) : loop_step(next);
        return;
    }
}

// Before the emulator is forked at each boundary, events that are taken in user mode, where they disturb nothing, have the
// handler translated once and not in each child.
bool sweep::is_warm() {
    if (!options_.by_fork || is_child_ || warm_up_instructions_ > most_of_a_warm_up) {
        return true;
    }
    if (++warm_up_instructions_ > most_of_a_warm_up || machine_.privilege() != 3) {
        return false;
    }
    if (warm_ups_ == warm_ups) {
        warm_up_instructions_ = most_of_a_warm_up + 1; // the last one has returned
        return true;
    }
    queue(&sweep::warm_up);
    return false;
}

// The instruction in user mode is done: it may have led into the kernel, where the event is what the sweep is about.
void sweep::warm_up() {
    if (machine_.privilege() == 3 && !machine_.blocks_nmis()) {
        ++warm_ups_;
        machine_.raise(options_.raised, options_.raised_vector);
    }
}

void sweep::interrupt_for_path() {
    if (machine_.privilege() == 3) {
        machine_.set_cr2(dead_cr2);
    }
    interrupted_ = machine_.all_registers();
    machine_.raise(event::nmi, 0);
}

// At the boundary before the path's first instruction.
void sweep::at_begin() {
    if (is_trial_) { // it has come round
        if (system_registers() != begun_with_) {
            loop_leave(lost_status);
        }
        forget_time();
        let_forks_have_all_memory();
        is_trial_ = false;
        shared_.has_taken_over = true;
    } else if (!is_child_) {
        let_forks_have_all_memory();
        cpu_milliseconds_ = cpu_milliseconds();
        if (!options_.by_fork) {
            loop_fork();
        }
    }
    begin_pass();
}

void sweep::begin_pass() {
    state_ = state::on_path;
    shared_.is_on_path = true;
    pass_.begin(options_.begin == place::nmi ? &interrupted_ : nullptr);
    second_raised_ = false;
    accounted_ = 0;
    shared_.accounts[slot_][0] = 0;
    if (options_.second_latched) {
        machine_.raise(event::nmi, 0);
    }
    if (options_.by_fork) {
        fork_boundary();
    } else if (!is_undisturbed_ && step_ == 0) {
        loop_raise();
    }
}

void sweep::send_path() {
    shared_.has_path = true;
    std::string list, code;
    std::set<uint64_t> known;
    for (const uint64_t pc : path_) {
        list += (list.empty() ? "" : ",") + hexadecimal(pc);
        uint8_t bytes[15] = {};
        if (!known.insert(pc).second || !machine_.read(pc, bytes, sizeof bytes)) {
            continue;
        }
        code += (code.empty() ? "" : ",") + hexadecimal(pc) + ":\"";
        for (const uint8_t byte : bytes) {
            constexpr char digits[] = "0123456789abcdef";
            code += {digits[byte >> 4], digits[byte & 15]};
        }
        code += '"';
    }
    line("path").raw("pcs", '[' + list + ']').raw("code", '{' + code + '}').send();
}

void sweep::keep_account() {
    if (pass_.was_raised() && accounted_ != 1 + pass_.entries_since_raise()) {
        accounted_ = 1 + pass_.entries_since_raise();
        const std::string text = pass_.describe("exit", nullptr, nullptr);
        if (text.size() < shared_state::longest_account) {
            std::memcpy(shared_.accounts[slot_], text.c_str(), text.size() + 1);
        }
    }
}

// Of a child that has not said how its pass went; `status` is waitpid()'s.
std::string sweep::account_of(unsigned slot, int status) {
    std::string text = shared_.accounts[slot];
    shared_.accounts[slot][0] = 0;
    const std::string how = !WIFEXITED(status)                   ? "crash"
                            : WEXITSTATUS(status) == lost_status ? "lost-path"
                                                                 : "exit";
    const std::string begin =
        "{\"end\":\"" + how + "\",\"status\":" +
        std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    const size_t rest = text.find(',');
    return begin + (rest == std::string::npos ? "}" : text.substr(rest));
}

void sweep::send_boundary(uint64_t step, uint64_t second, const std::string& result) {
    line one("boundary");
    one.number("step", step);
    if (options_.pairs) {
        one.number("second", second);
    }
    one.raw("result", result).send();
}

void sweep::on_store(plugin_memory_info info, uint64_t address) {
    if (is_child_ && options_.by_fork && state_ == state::on_path && !pass_.has_ended()) {
        writes_.note(machine_, info, address);
    }
}

// In a child, which has this thread alone: it may wait for something that never comes.
void sweep::watch_time() {
    struct sigaction action = {};
    action.sa_handler = when_alarmed;
    ::sigaction(SIGALRM, &action, nullptr);
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    ::pthread_sigmask(SIG_UNBLOCK, &alarms, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    the_one = this;
    seen_steps_ = quiet_ticks_ = ticks_ = 0;
    itimerval interval = {};
    interval.it_value.tv_usec = interval.it_interval.tv_usec = 1000000 / ticks_a_second;
    ::setitimer(ITIMER_REAL, &interval, nullptr);
}

// Nothing here may need what the interrupted code holds.
void sweep::on_alarm() {
    constexpr uint64_t halted_for = 10;
    const bool is_reset = qemu_reset_requested_get() != 0 || qemu_shutdown_requested_get() != 0;
    const uint64_t now = state_ == state::on_path ? pass_.steps() : idle_;
    quiet_ticks_ = now == seen_steps_ ? quiet_ticks_ + 1 : 0;
    ticks_ = state_ == state::on_path ? ticks_ + 1 : 0;
    seen_steps_ = now;
    const uint64_t most = options_.milliseconds * ticks_a_second / 1000;
    if (is_reset) {
        end_pass("reset");
    } else if (pass_.is_halted() && quiet_ticks_ > halted_for) {
        end_pass("halted");
    } else if (quiet_ticks_ > most || ticks_ > most) {
        end_pass("timeout");
    }
}

void sweep::forget_time() {
    const itimerval never = {};
    ::setitimer(ITIMER_REAL, &never, nullptr);
}

void sweep::finish() {
    line("over")
        .number("deaths", deaths_)
        .number("instructions_of_others", shared_.instructions_of_others)
        .number("cpu_milliseconds", cpu_milliseconds() - cpu_milliseconds_)
        .send();
    ::_exit(0);
}

void sweep::fail(const std::string& why) {
    line("error").text("what", why).send();
    ::_exit(2);
}

} // namespace nmisafe::torture
