// SPDX-License-Identifier: MIT
/// The embedding kernel played by an ordinary Linux process on x86: its own code is the text,
/// SIGTRAP is the #BP, its threads are the CPUs. For tests and benchmarks on the real CPU.
///
/// Hosted code. A program calls hosted::set_up() first. Link it without PIE, or make keys hidden.
#pragma once

#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/return_image.hpp"
#include "nmisafe/x86/serialize.hpp"
#include "nmisafe/x86/trap_frame.h"

#ifdef NMISAFE_FOREIGN_FRAME
#include "nmisafe/platform/hosted/foreign_frame.hpp"
#endif

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <link.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

extern "C" const char __executable_start[]; // made by the linker
extern "C" const char etext[];

namespace nmisafe::tracer {
struct cpu;
}

namespace nmisafe::platform::hosted {

#ifdef NMISAFE_FOREIGN_FRAME
using own_frame = foreign_frame;
#else
using own_frame = x86::trap_frame;
#endif

/// Called on each SIGTRAP, with the thread's registers; false ends the program.
using breakpoint_handler = bool (*)(own_frame&);

struct state {
    breakpoint_handler on_breakpoint = nullptr;
    uint32_t breakpoints = 0; ///< Come so far.
    unsigned synchronisations = 0;
    bool one_thread_only = false;     ///< This system cannot synchronise threads.
    void (*before_write)() = nullptr; ///< Before each write of text.
    void (*after_synchronise)() = nullptr;
};
inline state process;

/// Each of a thread's registers is copied to or from its frame.
template <typename Copy>
void for_each_register(greg_t* registers, x86::trap_frame& frame, Copy copy) {
#ifdef __x86_64__
    copy(registers[REG_R8], frame.r8);
    copy(registers[REG_R9], frame.r9);
    copy(registers[REG_R10], frame.r10);
    copy(registers[REG_R11], frame.r11);
    copy(registers[REG_R12], frame.r12);
    copy(registers[REG_R13], frame.r13);
    copy(registers[REG_R14], frame.r14);
    copy(registers[REG_R15], frame.r15);
    copy(registers[REG_RAX], frame.ax);
    copy(registers[REG_RCX], frame.cx);
    copy(registers[REG_RDX], frame.dx);
    copy(registers[REG_RBX], frame.bx);
    copy(registers[REG_RBP], frame.bp);
    copy(registers[REG_RSI], frame.si);
    copy(registers[REG_RDI], frame.di);
    copy(registers[REG_RSP], frame.sp);
    copy(registers[REG_RIP], frame.ip);
    copy(registers[REG_EFL], frame.flags);
#else
    copy(registers[REG_EAX], frame.ax);
    copy(registers[REG_ECX], frame.cx);
    copy(registers[REG_EDX], frame.dx);
    copy(registers[REG_EBX], frame.bx);
    copy(registers[REG_EBP], frame.bp);
    copy(registers[REG_ESI], frame.si);
    copy(registers[REG_EDI], frame.di);
    copy(registers[REG_EIP], frame.ip);
    copy(registers[REG_EFL], frame.flags);
#endif
}

/// Hands the handler the frame that this platform has.
inline bool call_handler(x86::trap_frame& found) {
#ifdef NMISAFE_FOREIGN_FRAME
    foreign_frame other{};
    for_each_word(other, found, [](uint64_t& to, const uint64_t& from) { to = from; });
    const bool is_handled = process.on_breakpoint(other);
    for_each_word(other, found, [](const uint64_t& from, uint64_t& to) { to = from; });
    return is_handled;
#else
    return process.on_breakpoint(found);
#endif
}

inline void on_trap(int, siginfo_t*, void* context) {
    auto* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    x86::trap_frame frame{};
    for_each_register(registers, frame,
                      [](const greg_t& from, uintptr_t& to) { to = static_cast<uintptr_t>(from); });
    // Some look late at what they hit, when others have gone on patching.
    if (__atomic_fetch_add(&process.breakpoints, 1, __ATOMIC_RELAXED) % 64 == 63)
        sched_yield();
    if (!call_handler(frame))
        std::abort(); // SIGTRAP of somebody else
    for_each_register(registers, frame,
                      [](greg_t& to, const uintptr_t& from) { to = static_cast<greg_t>(from); });
}

inline long membarrier(int command) {
    return syscall(SYS_membarrier, command, 0, 0);
}

/// False, and says what has failed.
inline bool refused(const char* call) {
    std::printf("%s: %s\n", call, std::strerror(errno));
    return false;
}

/// What dl_iterate_phdr() returns once the program's own code has been made writable.
inline constexpr int own_program = 1;

/// Makes the code of the program writable, segment by segment: between its segments a linker may
/// leave pages that are not mapped (lld does so wherever one segment ends with a page).
inline int make_code_writable(dl_phdr_info* program, size_t, void*) {
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    for (unsigned i = 0; i < program->dlpi_phnum; ++i) {
        const auto& segment = program->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0)
            continue;
        const uintptr_t begin = program->dlpi_addr + segment.p_vaddr;
        const uintptr_t page_begin = begin & ~(page - 1);
        if (mprotect(reinterpret_cast<void*>(page_begin), begin + segment.p_memsz - page_begin,
                     PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
            return -1;
    }
    return own_program; // the program itself comes first: its libraries are left alone
}

/// Makes the program's code writable and its breakpoints the handler's. False if this system does
/// not let a program do so.
inline bool set_up(breakpoint_handler handler) {
    process.on_breakpoint = handler;
    struct sigaction action {};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_NODEFER; // a handler may itself hit a site
    if (sigaction(SIGTRAP, &action, nullptr) != 0)
        return refused("sigaction");
    // QEMU's user emulation knows no such call; its CPUs see changed code at once.
    process.one_thread_only = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) != 0;
    if (dl_iterate_phdr(make_code_writable, nullptr) != own_program)
        return refused("mprotect");
    return true;
}

/// The preempt counts of the threads that grace periods wait for, under a lock.
inline constexpr unsigned most_threads = 16;
inline const uint32_t* preempt_counts[most_threads];
inline pthread_mutex_t preempt_counts_lock = PTHREAD_MUTEX_INITIALIZER;

/// Puts `now` where `before` is.
inline void exchange_preempt_count(const uint32_t* before, const uint32_t* now) {
    pthread_mutex_lock(&preempt_counts_lock);
    unsigned at = 0;
    while (at < most_threads && preempt_counts[at] != before)
        ++at;
    if (at == most_threads)
        std::abort();
    preempt_counts[at] = now;
    pthread_mutex_unlock(&preempt_counts_lock);
}

} // namespace nmisafe::platform::hosted

struct nmisafe_platform {
    static inline thread_local uint32_t count = 0;
    static inline thread_local nmisafe::platform::cpu_state cpu{};

#ifdef NMISAFE_FOREIGN_FRAME
    using frame = nmisafe::platform::hosted::own_frame;
    static constexpr auto layout_of_frame = nmisafe::platform::hosted::foreign_layout;
#endif

    static uint32_t preempt_count() {
        return count;
    }
    static void add_preempt_count(uint32_t delta) {
        count += delta;
    }
    static nmisafe::platform::cpu_state& this_cpu() {
        return cpu;
    }
    static nmisafe::tracer::cpu& tracer_cpu(); ///< A program that traces defines it.
    [[noreturn]] static void panic(const nmisafe::platform::failure& why) {
        std::fprintf(stderr, "panic: %s\n", why.what);
        std::abort();
    }

#ifdef __i386__
    static constexpr bool writes_text_twice = true; // where this runs under QEMU's user emulation
#endif
    static void write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
        if (nmisafe::platform::hosted::process.before_write != nullptr)
            nmisafe::platform::hosted::process.before_write();
        auto* const code = reinterpret_cast<volatile uint8_t*>(address);
        for (size_t i = 0; i < size; ++i)
            code[i] = bytes[i];
    }
    [[NMISAFE_TRAP_INLINE]] static void read_text(uintptr_t address, uint8_t* bytes, size_t size) {
        const auto* const code = reinterpret_cast<const volatile uint8_t*>(address);
        for (size_t i = 0; i < size; ++i)
            bytes[i] = code[i];
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_text(uintptr_t begin, uintptr_t end) {
        return begin >= reinterpret_cast<uintptr_t>(__executable_start) &&
               end <= reinterpret_cast<uintptr_t>(etext);
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_no_probe(uintptr_t, uintptr_t) {
        return false;
    }
    static bool may_synchronise() {
        return cpu.nmi_in_progress == 0;
    }

    /// Each running thread of the process executes a serializing instruction; the others do when
    /// they run next. [membarrier(2)]
    static void synchronise_cpus() {
        auto& process = nmisafe::platform::hosted::process;
        ++process.synchronisations;
        nmisafe::x86::serialize_core();
        if (!process.one_thread_only &&
            nmisafe::platform::hosted::membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) != 0)
            panic({.what = "membarrier failed", .frame = nullptr, .value = 0});
        if (process.after_synchronise != nullptr)
            process.after_synchronise();
    }

    /// For a thread other than the first that raises its preempt count, before it does and at its
    /// end. The first one is who waits.
    static void begin_thread() {
        nmisafe::platform::hosted::exchange_preempt_count(nullptr, &count);
    }
    static void end_thread() {
        nmisafe::platform::hosted::exchange_preempt_count(&count, nullptr);
    }

    /// The barrier: a thread either has raised its count for this one to see, or sees all that was
    /// written before.
    static void wait_for_grace_period() {
        namespace hosted = nmisafe::platform::hosted;
        if (!hosted::process.one_thread_only &&
            hosted::membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) != 0)
            panic({.what = "membarrier failed", .frame = nullptr, .value = 0});
        pthread_mutex_lock(&hosted::preempt_counts_lock);
        for (const uint32_t* one : hosted::preempt_counts)
            while (one != nullptr && __atomic_load_n(one, __ATOMIC_ACQUIRE) != 0)
                sched_yield();
        pthread_mutex_unlock(&hosted::preempt_counts_lock);
    }
};
