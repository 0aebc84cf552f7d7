// SPDX-License-Identifier: MIT
// A self-test to link into a kernel that has taken the return alone: whether its NMI keeps what RETURN_ALONE.md
// lists. C11 and C++20, ring 0, no other header of the library is needed.
//
// Emulators that push RF=0 at faults, as QEMU does, hide what real CPUs do; so what is delivered here is a frame
// made by hand, RF in it and all, with which the kernel's own entry is entered. [intel/vol3 17.3.1.1]
#ifndef NMISAFE_TRAP_RETURN_CHECK_H
#define NMISAFE_TRAP_RETURN_CHECK_H

#include <stdint.h>

/// What was found wrong: bits.
enum {
    NMISAFE_CHECK_NESTED = 1,         ///< A plain return inside the NMI let another NMI in.
    NMISAFE_CHECK_NESTED_RF = 2,      ///< One with RF in its image did, as page faults have it on real CPUs.
    NMISAFE_CHECK_BREAKPOINTS = 4,    ///< Breakpoints of DR7 were armed in the NMI's handler.
    NMISAFE_CHECK_CR2 = 8,            ///< CR2 was another after the NMI.
    NMISAFE_CHECK_DR7 = 16,           ///< DR7 was another after the NMI.
    NMISAFE_CHECK_STAYS_BLOCKED = 32, ///< No second NMI after the first: its own return must be IRET.
    NMISAFE_CHECK_NO_NMI = 64         ///< Not even a first.
};

/// Filled in by the kernel but for the last three, which begin as 0. One CPU at a time.
struct nmisafe_return_check {
    void (*raise_nmi)(void); ///< An NMI to this CPU; it may take a while.
    void (*wait)(void);      ///< Longer than that: some thousand PAUSEs.
    uintptr_t entry;         ///< Where the gate of an exception leads whose handler lets any frame be.
    int has_error_code;      ///< Whether that entry expects one.
    volatile unsigned in_nmi;
    volatile unsigned handled; ///< NMIs that ran the check to its end.
    volatile unsigned wrong;   ///< Bits, see above.
};

#ifdef __x86_64__
#define NMISAFE_CHECK_PUSH_FRAME                                                                   \
    "pushfq\n\tmovq %%rsp, %%rcx\n\tandq $-16, %%rsp\n\t"                                          \
    "movl %%ss, %%eax\n\tpushq %%rax\n\tpushq %%rcx\n\tpushq %%rdi\n\tpushq %%rsi\n\t"             \
    "leaq 1f(%%rip), %%rax\n\tpushq %%rax\n\ttestl %%edx, %%edx\n\tjz 2f\n\tpushq $0\n"            \
    "2:\tjmpq *%%rbx\n"                                                                            \
    "1:\tpushfq\n\tpopq %%rax\n\tpopfq"
#else
#define NMISAFE_CHECK_PUSH_FRAME                                                                   \
    "pushfl\n\tpushl %%edi\n\tpushl %%esi\n\tpushl $1f\n\t"                                        \
    "testl %%edx, %%edx\n\tjz 2f\n\tpushl $0\n"                                                    \
    "2:\tjmpl *%%ebx\n"                                                                            \
    "1:\tpushfl\n\tpopl %%eax\n\tpopfl"
#endif

/// Enters `entry` as the CPU would, with this image; gives the flags it comes back with.
/// @context any, without a red zone
static inline uintptr_t nmisafe_check_deliver(uintptr_t entry, int has_error_code, uintptr_t flags,
                                              uintptr_t cs) {
    uintptr_t landed;
    __asm__ volatile(NMISAFE_CHECK_PUSH_FRAME
                     : "=a"(landed)
                     : "D"(flags), "S"(cs), "d"(has_error_code), "b"(entry)
                     : "rcx", "memory", "cc");
    return landed;
}

static inline uintptr_t nmisafe_check_code_segment(void) {
    uintptr_t value;
    __asm__ volatile("mov %%cs, %k0" : "=a"(value));
    return value;
}
static inline uintptr_t nmisafe_check_read_cr2(void) {
    uintptr_t value;
    __asm__ volatile("mov %%cr2, %0" : "=a"(value) : : "memory");
    return value;
}
static inline void nmisafe_check_write_cr2(uintptr_t value) {
    __asm__ volatile("mov %0, %%cr2" : : "a"(value) : "memory");
}
static inline uintptr_t nmisafe_check_read_dr7(void) {
    uintptr_t value;
    __asm__ volatile("mov %%dr7, %0" : "=a"(value) : : "memory");
    return value;
}
static inline void nmisafe_check_write_dr7(uintptr_t value) {
    __asm__ volatile("mov %0, %%dr7" : : "a"(value) : "memory");
}

/// To be called by the NMI handler, first of all. Gives what is wrong so far: if it is not 0, print it and stop, for
/// the frame of this NMI may be gone. @context nmi
static inline unsigned nmisafe_return_check_in_nmi(struct nmisafe_return_check* check) {
    const uintptr_t plain = 0x2;          // bit 1 reads as 1; IF=0, as in every NMI handler
    const uintptr_t resume = 0x10000;     // RF
    const unsigned outer = check->in_nmi; // 0, or the step that has let this NMI in
    if (outer != 0) {
        check->wrong = check->wrong | outer;
        return 0;
    }
    if ((nmisafe_check_read_dr7() & 0xff) != 0)
        check->wrong = check->wrong | NMISAFE_CHECK_BREAKPOINTS;
    check->in_nmi = NMISAFE_CHECK_NESTED;
    const int first = check->handled == 0;
    if (first)
        check->raise_nmi();
    nmisafe_check_deliver(check->entry, check->has_error_code, plain, nmisafe_check_code_segment());
    check->wait();
    check->in_nmi = NMISAFE_CHECK_NESTED_RF;
    if (first)
        check->raise_nmi(); // one that is pending already stays one
    nmisafe_check_deliver(check->entry, check->has_error_code, plain | resume,
                          nmisafe_check_code_segment());
    check->wait();
    nmisafe_check_write_cr2(0x1000); // as a page fault here would
    check->in_nmi = 0;
    check->handled = check->handled + 1;
    return check->wrong;
}

/// Runs the check: NMIs with CR2 known and a breakpoint armed, DR0 as it is, which should be on nothing that runs.
/// The first leaves one pending, so two come of one. Gives what is wrong, 0 for nothing.
/// @context thread, IF=0
static inline unsigned nmisafe_return_check_run(struct nmisafe_return_check* check) {
    const uintptr_t dr7 = nmisafe_check_read_dr7();
    const uintptr_t armed = 0x10401; // L0, on writes of one byte
    const uintptr_t address = 0x2000;
    nmisafe_check_write_dr7(armed);
    nmisafe_check_write_cr2(address);
    check->raise_nmi();
    check->wait();
    if (nmisafe_check_read_cr2() != address)
        check->wrong = check->wrong | NMISAFE_CHECK_CR2;
    if (nmisafe_check_read_dr7() != armed)
        check->wrong = check->wrong | NMISAFE_CHECK_DR7;
    nmisafe_check_write_dr7(dr7);
    if (check->handled == 0)
        check->wrong = check->wrong | NMISAFE_CHECK_NO_NMI;
    else if (check->handled < 2 && (check->wrong & (NMISAFE_CHECK_NESTED | NMISAFE_CHECK_NESTED_RF)) == 0)
        check->wrong = check->wrong | NMISAFE_CHECK_STAYS_BLOCKED;
    return check->wrong;
}

#endif
