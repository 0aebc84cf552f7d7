// SPDX-License-Identifier: MIT
#include "kernel/panic/panic.hpp"

#include "kernel/common/image.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/events/counts.hpp"
#include "kernel/events/descriptor.hpp"
#include "kernel/memory/stacks.hpp"
#include "kernel/modules/module_text.hpp"
#include "kernel/panic/stop_cpus.hpp"
#include "kernel/panic/test_exit.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

uint32_t panics;        // how often panic() was entered
uint32_t panicking_cpu; // id + 1

/// GS may be anything now, so the CPU is told by its local APIC.
uint32_t current_cpu() {
    const uint32_t apic_id = local_apic_id();
    for (uint32_t id = 0; id < cpu_count(); ++id)
        if (cpu_at(id).apic_id == apic_id)
            return id;
    return 0;
}

uint32_t stuck_cpus; // a bit for each that had to be stopped by INIT

/// Lets this CPU go on, alone; or for good not. Who comes second may be in an NMI handler, and then
/// takes no NMI: it says itself that it has stopped.
void become_the_panicking_cpu(uint32_t id) {
    uint32_t owner = 0;
    const bool first = __atomic_compare_exchange_n(&panicking_cpu, &owner, id + 1, false,
                                                   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (!first && owner != id + 1)
        stay_stopped(id);
    if (first)
        stuck_cpus = stop_other_cpus(id);
}

/// Who did not stop: it has been in an NMI handler for all that time, or its NMIs are blocked.
void put_stuck_cpus(console_line& line) {
    const char* before = " not_stopped=";
    for (uint32_t id = 0; id < most_cpus; ++id) {
        if ((stuck_cpus >> id & 1) == 0)
            continue;
        line.put(before);
        line.put(id);
        before = ",";
    }
}

/// `sp` is null when the frame itself says where the stack was.
void put_frame(console_line& line, const x86::trap_frame& frame, const uintptr_t* sp) {
    const auto put = [&line](const char* name, uintptr_t value) {
        line.put(name);
        line.put(hex{value});
    };
    line.put(" vector=");
    line.put(frame.vector);
    put(" error=", frame.error);
    const uintptr_t ip = kprobe::original_address(frame.ip);
    put(" ip=", ip);
    if (ip != frame.ip)
        put(" slot=", frame.ip);
    put(" cs=", frame.cs);
    put(" flags=", frame.flags);
    put(" sp=", sp == nullptr ? frame.interrupted_sp() : *sp);
    put(" ax=", frame.ax);
    put(" bx=", frame.bx);
    put(" cx=", frame.cx);
    put(" dx=", frame.dx);
    put(" si=", frame.si);
    put(" di=", frame.di);
    put(" bp=", frame.bp);
#ifdef __x86_64__
    put(" r8=", frame.r8);
    put(" r9=", frame.r9);
    put(" r10=", frame.r10);
    put(" r11=", frame.r11);
    put(" r12=", frame.r12);
    put(" r13=", frame.r13);
    put(" r14=", frame.r14);
    put(" r15=", frame.r15);
#endif
}

/// The words of the interrupted stack that are addresses of code: the callers, and perhaps some
/// that have returned. Without frame pointers there is nothing better, and it cannot fault.
void put_stack(console_line& line, uintptr_t sp) {
    constexpr unsigned most_words = 16;
    const auto* word = reinterpret_cast<const uintptr_t*>(sp & ~(sizeof(uintptr_t) - 1));
    const auto* const top = reinterpret_cast<const uintptr_t*>(stack_top(sp));
    for (unsigned words = 0; word < top && words < most_words; ++word) {
        const bool in_image =
            *word >= text_address(kernel_text_begin) && *word < text_address(kernel_text_end);
        if (!in_image && !is_module_text(*word, *word + 1))
            continue;
        line.put(words++ == 0 ? " stack=" : ",");
        line.put(hex{kprobe::original_address(*word)}); // a trap's frame may lie there too
    }
}

/// What a trace of this machine has to have: all that is written, and nothing that was only begun.
void put_events(console_line& line) {
    const event_counts counts = count_events();
    line.put(" events_generated=");
    line.put(counts.generated);
    line.put(" events_written=");
    line.put(counts.written);
    line.put(" events_lost=");
    line.put(counts.lost);
}

/// Without a frame `caller` says where.
[[noreturn]] void stop(const char* what, const char* more, const x86::trap_frame* frame,
                       const uintptr_t* sp, uintptr_t value, uintptr_t caller) {
    x86::disable_interrupts();
    const uintptr_t cr2 = x86::read_cr2();
    const uint32_t id = current_cpu();
    become_the_panicking_cpu(id);
    if (__atomic_add_fetch(&panics, 1, __ATOMIC_SEQ_CST) > 2) {
        note_machine_state(trace_descriptor::machine_state::panicked);
        finish(false);
    }
    {
        console_line line;
        if (!line.is_alone())
            line.put('\n'); // a line was being written, here or on a CPU that no longer runs
        line.put("@panic what=\"");
        line.put(what);
        line.put(more);
        line.put("\" cpu=");
        line.put(id);
        put_stuck_cpus(line);
        line.put(" value=");
        line.put(hex{value});
        line.put(" cr2=");
        line.put(hex{cr2});
        if (frame != nullptr) {
            put_frame(line, *frame, sp);
            put_stack(line, sp == nullptr ? frame->interrupted_sp() : *sp);
        } else {
            line.put(" ip=");
            line.put(hex{caller});
        }
        if (is_traced())
            put_events(line);
        line.put('\n');
    }
    // Whoever records this machine may end it as soon as it sees that: not before the line is out.
    note_machine_state(trace_descriptor::machine_state::panicked);
    finish(false);
}

[[noreturn]] void double_fault(const x86::trap_frame& frame, const uintptr_t* sp) {
    stop("double fault", in_guard_page(x86::read_cr2()) ? ": stack overflow" : "", &frame, sp, 0,
         0);
}

} // namespace

bool panicking() {
    return __atomic_load_n(&panics, __ATOMIC_RELAXED) != 0;
}

void panic(const char* what, const x86::trap_frame* frame, uintptr_t value) {
    stop(what, "", frame, nullptr, value, reinterpret_cast<uintptr_t>(__builtin_return_address(0)));
}

#ifdef __x86_64__

void set_up_double_fault() {
    trap::set_handler(X86_VECTOR_DF,
                      [](x86::trap_frame& frame) -> bool { double_fault(frame, nullptr); });
}

#else

void set_up_double_fault() {} // the task gate leads to kernel_double_fault

/// Called by double_fault_x86_32.S. this_cpu() holds: the task's TSS loaded the kernel's GS.
extern "C" [[noreturn, NMISAFE_ASSEMBLY_CALL]] void kernel_double_fault() {
    const x86::tss_32& task = this_cpu().tss;
    x86::trap_frame frame{};
    frame.bp = task.ebp;
    frame.di = task.edi;
    frame.si = task.esi;
    frame.dx = task.edx;
    frame.bx = task.ebx;
    frame.cx = task.ecx;
    frame.ax = task.eax;
    frame.vector = X86_VECTOR_DF;
    frame.ip = task.eip;
    frame.cs = task.cs;
    frame.flags = task.eflags;
    const uintptr_t sp = task.esp;
    double_fault(frame, &sp);
}

#endif

} // namespace kernel
