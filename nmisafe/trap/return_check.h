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
    NMISAFE_CHECK_NO_NMI = 64,        ///< Not even a first.
    NMISAFE_CHECK_SHADOW = 128,       ///< An NMI behind the return's STI was not taken back to it.
    NMISAFE_CHECK_GATES = 256,        ///< NMI, #BP or #PF by no interrupt gate, or #BP or #PF with an IST stack.
    NMISAFE_CHECK_RED_ZONE = 512      ///< This was compiled with a red zone.
};

/// The lowest bit in words. @context any
static inline const char* nmisafe_return_check_describe(unsigned wrong) {
    static const char* const text[] = {"a return inside the NMI let another NMI in",
                                       "a return with RF in its image let an NMI into an NMI",
                                       "breakpoints were armed in the NMI's handler",
                                       "CR2 was another after the NMI",
                                       "DR7 was another after the NMI",
                                       "no NMI after the first: its own return must be IRET",
                                       "no NMI came",
                                       "an NMI in the shadow of the return's STI was not taken back to it",
                                       "NMI, #BP or #PF by no interrupt gate, or #BP or #PF with an IST stack",
                                       "compiled with a red zone"};
    unsigned bit = 0;
    while (wrong != 0 && bit < sizeof text / sizeof *text) {
        if ((wrong >> bit & 1) != 0)
            return text[bit];
        ++bit;
    }
    return "nothing is wrong";
}

/// Filled in by the kernel but for the last three, which begin as 0. One CPU at a time; once for each entry.
struct nmisafe_return_check {
    void (*raise_nmi)(void); ///< An NMI to this CPU; it may take a while.
    void (*wait)(void);      ///< Longer than that: some thousand PAUSEs.
    uintptr_t entry;         ///< Where the gate of an exception leads whose handler lets any frame be.
    int has_error_code;      ///< Whether that entry expects one.
    uintptr_t nmi_entry;     ///< Of the NMI's gate, to look at the shadow; 0 if it may be entered by NMIs alone.
    uintptr_t shadowed;      ///< The label of the same name in `entry`.
    volatile unsigned in_nmi;
    volatile unsigned handled; ///< NMIs that ran the check to its end.
    volatile unsigned wrong;   ///< Bits, see above.
};

#ifdef __x86_64__
#define NMISAFE_CHECK_SP "rsp"
#define NMISAFE_CHECK_CLOBBERED "rcx", "rdx" // clang ignores those of the other width
#define NMISAFE_CHECK_PUSH_FRAME                                                                   \
    "pushfq\n\tmovq %%rsp, %%rcx\n\tandq $-16, %%rsp\n\t"                                          \
    "movl %%ss, %%eax\n\tpushq %%rax\n\tpushq %%rcx\n\tpushq %%rdi\n\tpushq %%rsi\n\t"             \
    "leaq 1f(%%rip), %%rax\n\tpushq %%rax\n\ttestl %%edx, %%edx\n\tjz 2f\n\tpushq $0\n"            \
    "2:\tjmpq *%%rbx\n"                                                                            \
    "1:\tpushfq\n\tpopq %%rax\n\tpopfq"
// Behind the frame of an NMI stands what the instruction in the shadow takes, near or far.
#define NMISAFE_CHECK_PUSH_SHADOWED                                                                \
    "movq %%rsp, %%rcx\n\tandq $-16, %%rsp\n\tpushq %%rsi\n\tleaq 1f(%%rip), %%rax\n\t"            \
    "pushq %%rax\n\tmovq %%rsp, %%rdx\n\tmovl %%ss, %%eax\n\tpushq %%rax\n\tpushq %%rdx\n\t"       \
    "pushq $2\n\tpushq %%rsi\n\tpushq %%rdi\n\tjmpq *%%rbx\n"                                     \
    "1:\tpushfq\n\tcli\n\tpopq %%rax\n\tmovq %%rcx, %%rsp"
#else
#define NMISAFE_CHECK_SP "esp"
#define NMISAFE_CHECK_CLOBBERED "ecx"
#define NMISAFE_CHECK_PUSH_FRAME                                                                   \
    "pushfl\n\tpushl %%edi\n\tpushl %%esi\n\tpushl $1f\n\t"                                        \
    "testl %%edx, %%edx\n\tjz 2f\n\tpushl $0\n"                                                    \
    "2:\tjmpl *%%ebx\n"                                                                            \
    "1:\tpushfl\n\tpopl %%eax\n\tpopfl"
#define NMISAFE_CHECK_PUSH_SHADOWED                                                                \
    "movl %%esp, %%ecx\n\tpushl $2\n\tpushl %%esi\n\tpushl $1f\n\t"                                \
    "pushl $2\n\tpushl %%esi\n\tpushl %%edi\n\tjmpl *%%ebx\n"                                     \
    "1:\tpushfl\n\tcli\n\tpopl %%eax\n\tmovl %%ecx, %%esp"
#endif

/// Enters `entry` as the CPU would, with this image; gives the flags it comes back with.
/// @context any, without a red zone
static inline uintptr_t nmisafe_check_deliver(uintptr_t entry, int has_error_code, uintptr_t flags,
                                              uintptr_t cs) {
    uintptr_t landed;
    __asm__ volatile(NMISAFE_CHECK_PUSH_FRAME
                     : "=a"(landed)
                     : "D"(flags), "S"(cs), "d"(has_error_code), "b"(entry)
#ifdef __x86_64__
                     : "rcx", "memory", "cc");
#else
                     : "memory", "cc");
#endif
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

/// Whether an NMI's entry takes a frame at `shadowed` back to the STI before it: the image has IF=0, and interrupts
/// are on for two instructions, those behind the frame's IP, if STI has run. For #DB and #MC too, if their handlers let such a frame be.
/// @context thread, IF=0, without a red zone
static inline int nmisafe_check_leaves_shadow(uintptr_t nmi_entry, uintptr_t shadowed) {
    uintptr_t landed;
    __asm__ volatile(NMISAFE_CHECK_PUSH_SHADOWED
                     : "=a"(landed)
                     : "D"(shadowed), "S"(nmisafe_check_code_segment()), "b"(nmi_entry)
                     : NMISAFE_CHECK_CLOBBERED, "memory", "cc");
    return (landed & 0x200) != 0; // IF
}

/// Whether the kernel's compiler keeps a leaf's variables below its stack pointer. @context any
__attribute__((noinline, unused)) static int nmisafe_check_has_red_zone(void) {
    volatile char variable = 0;
    uintptr_t address, stack_pointer;
    __asm__ volatile("lea %2, %0\n\tmov %%" NMISAFE_CHECK_SP ", %1"
                     : "=&r"(address), "=r"(stack_pointer)
                     : "m"(variable));
    return address < stack_pointer;
}

/// Whether NMI, #BP and #PF, if present in this CPU's IDT, come by interrupt gates, #BP and #PF on the stack they
/// interrupt. [intel/vol3 6.11, 6.14.1] @context any, ring 0
static inline int nmisafe_check_has_right_gates(void) {
    static const unsigned char vectors[] = {2, 3, 14};
    struct __attribute__((packed)) {
        uint16_t limit;
        uintptr_t base;
    } idt;
    unsigned i;
    __asm__ volatile("sidt %0" : "=m"(idt));
    for (i = 0; i < sizeof vectors; ++i) {
        const uintptr_t offset = vectors[i] * 2 * sizeof(uintptr_t);
        // In both widths the second word: present, type, and on x86-64 the IST.
        uint32_t word;
        if (offset + 7 > idt.limit)
            continue;
        __asm__ volatile("movl 4(%1), %0" : "=r"(word) : "r"(idt.base + offset) : "memory");
        if ((word & 0x8000) == 0)
            continue;
        if ((word & 0x1f00) != 0x0e00 || (sizeof(uintptr_t) == 8 && i != 0 && (word & 7) != 0))
            return 0;
    }
    return 1;
}

/// To be called by the NMI handler, first of all. Gives what is wrong so far: if it is not 0, print it and stop, for
/// the frame of this NMI may be gone, or, where an NMI has a stack of its own, that of the one it is in. @context nmi
static inline unsigned nmisafe_return_check_in_nmi(struct nmisafe_return_check* check) {
    const uintptr_t plain = 0x2;          // bit 1 reads as 1; IF=0, as in every NMI handler
    const uintptr_t resume = 0x10000;     // RF
    const unsigned outer = check->in_nmi; // 0, or the step that has let this NMI in
    if (outer != 0) {
        if (outer == NMISAFE_CHECK_SHADOW)
            return 0; // that one was made by hand
        check->wrong = check->wrong | outer;
        return check->wrong;
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
    nmisafe_check_write_cr2(0x1000);   // as a page fault here would
    nmisafe_check_write_dr7(0x100404); // as a debugger here would: L1, on writes of one byte
    check->in_nmi = 0;
    check->handled = check->handled + 1;
    return check->wrong;
}

/// Runs the check: NMIs with CR2 known and a breakpoint armed, DR0 and DR1 as they are, which should be on nothing
/// that runs. The first leaves one pending, so two come of one; then one with none armed. Gives what is wrong, 0 for
/// nothing.
/// @context thread, IF=0
static inline unsigned nmisafe_return_check_run(struct nmisafe_return_check* check) {
    const uintptr_t dr7 = nmisafe_check_read_dr7();
    const uintptr_t armed = 0x10401; // L0, on writes of one byte
    const uintptr_t disarmed = 0x400;
    const uintptr_t address = 0x2000;
    if (nmisafe_check_has_red_zone())
        check->wrong = NMISAFE_CHECK_RED_ZONE; // what follows would write over it
    else if ((nmisafe_check_code_segment() & 3) == 0 && !nmisafe_check_has_right_gates())
        check->wrong = NMISAFE_CHECK_GATES;
    if (check->wrong != 0)
        return check->wrong;
    nmisafe_check_write_dr7(armed);
    nmisafe_check_write_cr2(address);
    check->raise_nmi();
    check->wait();
    if (nmisafe_check_read_cr2() != address)
        check->wrong = check->wrong | NMISAFE_CHECK_CR2;
    if (nmisafe_check_read_dr7() != armed)
        check->wrong = check->wrong | NMISAFE_CHECK_DR7;
    if (check->handled > 1) {
        nmisafe_check_write_dr7(disarmed);
        check->raise_nmi();
        check->wait();
        if (nmisafe_check_read_dr7() != disarmed)
            check->wrong = check->wrong | NMISAFE_CHECK_DR7;
    }
    nmisafe_check_write_dr7(dr7);
    if (check->handled == 0)
        check->wrong = check->wrong | NMISAFE_CHECK_NO_NMI;
    else if (check->handled < 2 && (check->wrong & (NMISAFE_CHECK_NESTED | NMISAFE_CHECK_NESTED_RF)) == 0)
        check->wrong = check->wrong | NMISAFE_CHECK_STAYS_BLOCKED;
    if (check->nmi_entry != 0) {
        check->in_nmi = NMISAFE_CHECK_SHADOW;
        if (!nmisafe_check_leaves_shadow(check->nmi_entry, check->shadowed))
            check->wrong = check->wrong | NMISAFE_CHECK_SHADOW;
        check->in_nmi = 0;
    }
    return check->wrong;
}

#endif
