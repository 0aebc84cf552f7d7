// SPDX-License-Identifier: MIT
#include "tool/torture/plugin/pass.hpp"

#include <algorithm>

#include "tool/torture/plugin/output.hpp"

namespace nmisafe::torture {

namespace {

constexpr uint64_t rflags_if = 0x200;
constexpr unsigned vector_page_fault = 14;
constexpr unsigned vector_nmi = 2, vector_double_fault = 8, vector_machine_check = 18;
constexpr unsigned first_iret_fault = 10, iret_faults = 5; // #TS, #NP, #SS, #GP, #PF

bool pushes_error(unsigned vector) {
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 ||
           vector == 29 || vector == 30;
}

uint64_t distance(uint64_t a, uint64_t b) {
    return a > b ? a - b : b - a;
}

} // namespace

void pass::begin(const register_values* interrupted) {
    is_wide_ = machine_.is_wide();
    is_nmi_path_ = interrupted != nullptr;
    handler_ = machine_.gate(options_.raised == event::nmi             ? vector_nmi
                             : options_.raised == event::machine_check ? vector_machine_check
                                                                       : options_.raised_vector);
    double_fault_ = machine_.gate(vector_double_fault);
    for (unsigned i = 0; i < iret_faults; ++i) {
        fault_handlers_[i] = machine_.gate(first_iret_fault + i);
    }
    steps_ = steps_at_end_ = 0;
    previous_ = kind::other;
    previous_pc_ = 0;
    returned_ = has_ended_ = ended_blocked_ = double_faulted_ = false;
    raised_ = raised_blocked_ = raised_in_shadow_ = raised_behind_sti_ = raised_pending_ = false;
    raised_at_ = steps_at_raise_ = steps_at_entry_ = occurrence_ = 0;
    raises_ = entries_ = entries_since_raise_ = nested_ = overwritten_ = deepest_ = moved_ = 0;
    iret_faults_ = 0;
    open_.clear();
    seen_.clear();
    walked_.clear();
    begun_blocked_ = is_blocked();
    find_end();
    if (from_user_ && !keeps_cr2_ && !is_nmi_path_) {
        machine_.set_cr2(dead_cr2);
    }
    if (is_nmi_path_) {
        begin_registers_ = *interrupted;
        enter();
        raises_ = 1;
    } else if (options_.details) {
        begin_registers_ = machine_.all_registers();
    }
}

// Where the path will have come back: what it was entered with says so.
void pass::find_end() {
    const uint64_t word = is_wide_ ? 8 : 4;
    begin_sp_ = machine_.stack_pointer();
    const uint64_t pc = machine_.reg(reg_ip);
    is_function_ = false;
    keeps_cr2_ = false;
    if ((options_.begin == place::syscall || options_.begin == place::sysenter) ||
        pc == machine_.msr_lstar() || pc == machine_.msr_sysenter_eip()) {
        from_user_ = true;
        return;
    }
    unsigned vector = 256;
    if (options_.begin == place::gate) {
        vector = options_.vector;
    } else if (options_.begin == place::timer) {
        vector = 32;
    } else {
        for (unsigned i = 0; i < 256 && vector == 256; ++i) {
            vector = machine_.gate(i) == pc ? i : vector;
        }
    }
    if (vector == vector_page_fault) {
        keeps_cr2_ = true;
    }
    if (vector == 256) {
        is_function_ = true;
        from_user_ = false;
        return_ip_ = machine_.read_word(begin_sp_);
        return;
    }
    const uint64_t frame = begin_sp_ + (pushes_error(vector) ? word : 0);
    return_ip_ = machine_.read_word(frame);
    from_user_ = (machine_.read_word(frame + word) & 3) == 3;
    saved_sp_ = is_wide_ || from_user_ ? machine_.read_word(frame + 3 * word) : frame + 3 * word;
}

bool pass::is_at_end(uint64_t pc) const {
    if (is_nmi_path_) {
        return open_.empty();
    }
    if (!open_.empty()) {
        return false;
    }
    if (options_.end == path_end::address) {
        return pc == options_.end_address;
    }
    if (!returned_) {
        return false;
    }
    if (options_.end == path_end::user || from_user_) {
        return options_.end == path_end::user ? machine_.is_user_program(pc)
                                              : machine_.privilege() == 3;
    }
    const uint64_t sp = machine_.stack_pointer();
    if (is_function_) {
        return pc == return_ip_ && sp > begin_sp_;
    }
    // A handler may make the code that it returns to go on elsewhere, or push or pop a word for it.
    return distance(sp, saved_sp_) <= (is_wide_ ? 8u : 4u);
}

bool pass::is_behind_end(uint64_t pc) {
    if (has_ended_) {
        return true;
    }
    if (is_nmi_path_) {
        return steps_ != 0 && open_.size() == 1 && pc == open_[0].ip &&
               machine_.stack_pointer() == open_[0].sp;
    }
    returned_ = is_return(previous_);
    return steps_ != 0 && is_at_end(pc);
}

bool pass::is_blocked() const {
    switch (options_.raised) {
    case event::nmi:
        return machine_.blocks_nmis();
    case event::interrupt:
        return (machine_.reg(reg_flags) & rflags_if) == 0;
    case event::machine_check:
        break;
    }
    return false;
}

// An entry whose frame holds what an open one's does has come when that one had returned.
void pass::enter() {
    const uint64_t word = is_wide_ ? 8 : 4;
    handler_entry entry{};
    entry.frame = machine_.stack_pointer();
    entry.ip = machine_.read_word(entry.frame);
    const bool switches = is_wide_ || (machine_.read_word(entry.frame + word) & 3) == 3;
    entry.sp = switches ? machine_.read_word(entry.frame + 3 * word) : entry.frame + 3 * word;
    entry.was_returning = returned_;
    for (size_t i = open_.size(); i-- > 0;) {
        if (open_[i].ip == entry.ip && open_[i].sp == entry.sp) {
            entry.was_returning = open_[i].was_returning;
            open_.resize(i);
            break;
        }
    }
    if (!open_.empty() && has_left(entry.ip, entry.sp)) {
        ++moved_;
        entry.was_returning = open_.back().was_returning;
        open_.pop_back();
    }
    if (options_.details) {
        constexpr unsigned words_shown = 16;
        for (unsigned i = 0; i < words_shown; ++i) {
            entry.stack.push_back(machine_.read_word(entry.frame + i * word));
        }
    }
    ++entries_;
    if (raised_) {
        if (entries_since_raise_++ == 0) {
            steps_at_entry_ = steps_;
        }
    }
    const bool is_inside = std::any_of(open_.begin(), open_.end(),
                                       [](const handler_entry& open) { return !open.is_over; });
    entry.nested = is_inside || (begun_blocked_ && !is_nmi_path_ && !has_ended_ &&
                                 options_.raised == event::nmi);
    for (const handler_entry& open : open_) {
        entry.overwritten = entry.overwritten || (!open.is_over && open.frame == entry.frame);
    }
    nested_ += entry.nested;
    overwritten_ += entry.overwritten;
    constexpr size_t most_entries = 64;
    if (seen_.size() < most_entries) {
        seen_.push_back(entry);
    }
    open_.push_back(entry);
    deepest_ = std::max<uint64_t>(deepest_, open_.size());
    returned_ = false;
}

// At another handler's first instruction: its frame, with or without an error code, holds what the entry's does.
bool pass::is_interrupted_at(const handler_entry& entry, uint64_t sp) const {
    const uint64_t word = is_wide_ ? 8 : 4;
    for (const uint64_t frame : {sp, sp + word}) {
        const bool switches = is_wide_ || (machine_.read_word(frame + word) & 3) == 3;
        const uint64_t saved = switches ? machine_.read_word(frame + 3 * word) : frame + 3 * word;
        if (frame != entry.frame && machine_.read_word(frame) == entry.ip && saved == entry.sp) {
            return true;
        }
    }
    return false;
}

// A handler may send what it interrupted elsewhere: back to the beginning of a sequence, or behind the RET of one. Then
// the stack tells: it came from another one, or has gone up beyond the frame.
bool pass::has_left(uint64_t pc, uint64_t sp) const {
    constexpr uint64_t near = 64, another_stack = 4096;
    const handler_entry& last = open_.back();
    const bool is_elsewhere = distance(last.frame, last.sp) > another_stack || sp > last.frame;
    return returned_ && !last.is_over && distance(sp, last.sp) <= near && pc != last.ip &&
           is_elsewhere;
}

void pass::close(size_t which) {
    returned_ = open_[which].was_returning;
    open_.resize(which);
}

bool pass::step(const instruction& next) {
    returned_ = is_return(previous_);
    // QEMU keeps NMIs blocked when IRET faults; a CPU does not. [SDM 3A 6.7.1]
    if (previous_ == kind::iret &&
        std::find(fault_handlers_, fault_handlers_ + iret_faults, next.pc) !=
            fault_handlers_ + iret_faults &&
        next.pc != 0) {
        ++iret_faults_;
        machine_.unblock_nmis();
    }
    const bool is_own_entry = is_nmi_path_ && steps_ == 0;
    if (!open_.empty() && previous_ == kind::iret && !is_own_entry) {
        // That handler, or the event at its first instruction.
        const uint64_t word = is_wide_ ? 8 : 4;
        const uint64_t sp = machine_.reg(reg_sp);
        open_.back().is_over =
            open_.back().is_over ||
            is_interrupted_at(open_.back(), next.pc != handler_ ? sp
                                            : is_wide_          ? machine_.read_word(sp + 3 * word)
                                                                : sp + 3 * word);
    }
    if (next.pc == handler_ && !is_own_entry) {
        enter();
    } else if (!open_.empty() && steps_ != 0) {
        for (size_t i = open_.size(); i-- > 0;) {
            if (next.pc == open_[i].ip && machine_.stack_pointer() == open_[i].sp) {
                close(i);
                break;
            }
        }
        if (!open_.empty() && has_left(next.pc, machine_.stack_pointer())) {
            ++moved_;
            close(open_.size() - 1);
        }
    }
    if (next.pc == double_fault_ && double_fault_ != 0) {
        double_faulted_ = true;
    }
    if (steps_ != 0 && !has_ended_ && is_at_end(next.pc)) {
        has_ended_ = true;
        steps_at_end_ = steps_;
        ended_blocked_ = is_blocked();
        end_registers_ = machine_.all_registers();
    }
    if (has_ended_ && (!is_pending() || steps_ > steps_at_end_ + 20000)) {
        if (open_.empty() || steps_ > steps_at_end_ + 200000) {
            return true;
        }
    }
    if (!raised_) {
        walked_.push_back(next.pc);
    }
    previous_ = next.what;
    previous_pc_ = next.pc;
    ++steps_;
    return false;
}

void pass::note_raise(uint64_t at) {
    ++raises_;
    if (raised_) {
        return; // the second one of a pair
    }
    raised_pending_ = raises_ - 1 > entries_;
    raised_ = true;
    raised_at_ = at;
    steps_at_raise_ = steps_;
    raised_in_shadow_ = previous_ == kind::shadows;
    raised_behind_sti_ = previous_ == kind::enables;
    raised_blocked_ = is_blocked();
    occurrence_ = static_cast<uint64_t>(std::count(walked_.begin(), walked_.end(), at));
    if (options_.details) {
        raise_registers_ = machine_.all_registers();
    }
}

bool pass::is_clean() const {
    return has_ended_ && open_.empty() && !is_pending() && !double_faulted_ &&
           (begun_blocked_ || !ended_blocked_);
}

std::string pass::describe(const char* end, const register_values* expected,
                           const register_values* noise) const {
    const auto field = [](std::string& text, const char* name, const std::string& value) {
        text += (text.empty() ? "\"" : ",\"") + std::string(name) + "\":" + value;
    };
    const auto number = [&](std::string& text, const char* name, uint64_t value) {
        field(text, name, std::to_string(value));
    };
    const auto truth = [&](std::string& text, const char* name, bool value) {
        field(text, name, value ? "true" : "false");
    };
    std::string text;
    field(text, "end", '"' + std::string(end) + '"');
    field(text, "pc", hexadecimal(raised_at_));
    number(text, "occurrence", occurrence_);
    number(text, "raised", raises_);
    number(text, "entries", entries_);
    number(text, "entries_since", entries_since_raise_);
    number(text, "nested", nested_);
    number(text, "overwritten", overwritten_);
    number(text, "deepest", deepest_);
    number(text, "moved", moved_);
    number(text, "iret_faults", iret_faults_);
    number(text, "latency", entries_since_raise_ != 0 ? steps_at_entry_ - steps_at_raise_ : 0);
    number(text, "steps", has_ended_ ? steps_at_end_ : steps_);
    truth(text, "was_raised", raised_);
    truth(text, "blocked", raised_blocked_);
    truth(text, "pending", raised_pending_);
    truth(text, "shadow", raised_in_shadow_);
    truth(text, "behind_sti", raised_behind_sti_);
    truth(text, "begun_blocked", begun_blocked_);
    truth(text, "ended_blocked", ended_blocked_);
    truth(text, "double_fault", double_faulted_);
    truth(text, "halted", is_halted());
    field(text, "last", hexadecimal(previous_pc_));
    std::string registers;
    for (unsigned i = 0; has_ended_ && expected != nullptr && i < register_count; ++i) {
        // QEMU makes SS null where the stack is switched by an IST; in ring 0 of 64 bits that means nothing.
        if (i == reg_ss && is_wide_ && (end_registers_[reg_cs] & 3) == 0) {
            continue;
        }
        if ((noise == nullptr || (*noise)[i] == 0) && (*expected)[i] != end_registers_[i]) {
            field(registers, register_names[i],
                  '[' + hexadecimal((*expected)[i]) + ',' + hexadecimal(end_registers_[i]) + ']');
        }
    }
    field(text, "registers", '{' + registers + '}');
    if (options_.details) {
        std::string at, entries;
        for (unsigned i = 0; i < register_count; ++i) {
            field(at, register_names[i], hexadecimal(raise_registers_[i]));
        }
        for (const handler_entry& entry : seen_) {
            std::string one, stack;
            field(one, "ip", hexadecimal(entry.ip));
            field(one, "sp", hexadecimal(entry.sp));
            field(one, "frame", hexadecimal(entry.frame));
            truth(one, "nested", entry.nested);
            truth(one, "overwritten", entry.overwritten);
            for (const uint64_t word : entry.stack) {
                stack += (stack.empty() ? "" : ",") + hexadecimal(word);
            }
            field(one, "stack", '[' + stack + ']');
            entries += (entries.empty() ? "{" : ",{") + one + '}';
        }
        field(text, "at", '{' + at + '}');
        field(text, "entered", '[' + entries + ']');
    }
    return '{' + text + '}';
}

} // namespace nmisafe::torture
