/* SPDX-License-Identifier: MIT */
/* A kernel in C for x86-64, whose NMI handler runs into a marker, a kprobe and a page fault while the next NMI waits.
 * README.md says how to run it, and what WITHOUT_NMISAFE shows. */
#include "kernel.h"

#include "nmisafe/c/nmisafe.h"

#define CODE_SELECTOR 8
#define TASK_SELECTOR 24
#define FAULTING_PAGE (UINT64_C(512) << 20) /* nothing of the kernel's */
#define WANTED 1000
#ifdef FOREVER
#define SENDS_NMIS 0
#else
#define SENDS_NMIS 1
#endif

extern uint64_t directories[2048]; /* boot.S */
uint64_t gdt[5] = {0, 0x00af9b000000ffff,
                   0x00cf93000000ffff}; /* code, data; the TSS comes behind */
static uint64_t idt[2 * 256];
static struct {
    uint8_t stack[2 * 4096 - sizeof(nmisafe_nmi_block)];
    nmisafe_nmi_block block;
} nmi_stack __attribute__((aligned(4096)));
static uint8_t other_stacks[3][4096] __attribute__((aligned(16)));
static volatile uint32_t nmis, depth, probed, marked, page_faults;

/* Compilers call them in freestanding code too. */
void* memcpy(void* to, const void* from, size_t size) {
    void* const result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}
void* memset(void* to, int value, size_t size) {
    void* const result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}

static void out8(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char* text) {
    for (; *text != 0; ++text)
        out8(0xe9, (uint8_t)*text);
}

static void print_number(const char* text, uint32_t number) {
    char digits[11] = {0};
    unsigned at = 10;
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    print(text);
    print(digits + at);
}

/* QEMU's isa-debug-exit. */
__attribute__((noreturn)) static void stop(uint8_t code) {
    out8(0xf4, code);
    for (;;)
        __asm__ volatile("cli\n\thlt");
}

void panic(const char* what) {
    print(what);
    print("\n");
    stop(1);
}

static void require(nmisafe_error error) {
    if (error != NMISAFE_OK)
        panic(nmisafe_error_name(error));
}

static void send_nmi_to_self(void) {
    *(volatile uint32_t*)UINT64_C(0xfee00310) = 0;      /* the local APIC's ICR: to CPU 0, */
    *(volatile uint32_t*)UINT64_C(0xfee00300) = 0x4400; /* an NMI */
}

static void map(bool present) {
    directories[FAULTING_PAGE >> 21] = FAULTING_PAGE | 0x82 | (present ? 1 : 0);
    __asm__ volatile("invlpg (%0)" : : "r"(FAULTING_PAGE) : "memory");
}

NMISAFE_C_MARKER_DECLARE(kernel_nmi, "number %u")
NMISAFE_C_MARKER_DEFINE(kernel_nmi, "kernel", "nmi");

/* What the kprobe stands on, and what it is stepped in. */
void probed_function(void);
extern uint8_t probe_slot[];
__asm__(".text\n"
        "probed_function: addl $0, depth\n\tret\n"
        ".balign 32\n"
        "probe_slot: .skip 32, 0xcc\n");

/* The next NMI waits before all that: an IRET from any of it would let it in. */
static void on_nmi(nmisafe_frame* frame) {
    (void)frame;
    if (depth != 0)
        panic("an NMI in an NMI");
    depth = 1;
    nmis = nmis + 1;
    if (SENDS_NMIS && nmis < WANTED)
        send_nmi_to_self();
    NMISAFE_C_MARK(kernel_nmi, nmis);
    probed_function();
    map(false);
    *(volatile uint32_t*)FAULTING_PAGE = nmis;
    depth = 0;
}

/* For who raises NMIs from outside, as `nmisafe torture` does. */
__attribute__((noreturn)) static void go_round(void) {
    *(volatile uint32_t*)FAULTING_PAGE = 0; /* CR2 is the same in each round */
    print("going round\n");
    for (;;) {
        map(false);
        probed_function();
        *(volatile uint32_t*)FAULTING_PAGE = 0;
    }
}

NMISAFE_C_TRAP_TEXT static bool on_breakpoint(nmisafe_frame* frame) {
    return nmisafe_text_patch_handle_breakpoint(frame) || nmisafe_kprobe_handle_breakpoint(frame);
}

static bool on_page_fault(nmisafe_frame* frame, uintptr_t address) {
    (void)frame;
    if (address != FAULTING_PAGE)
        return false;
    page_faults = page_faults + 1;
    map(true);
    return true;
}

static void on_probe(struct nmisafe_kprobe* probe, nmisafe_frame* frame) {
    (void)probe;
    if (SENDS_NMIS && !nmisafe_in_nmi())
        panic("a hit outside of an NMI");
    probed = probed + (frame->ip == (uintptr_t)&probed_function);
}

static void on_mark(const nmisafe_marker* which, void* data, const nmisafe_arguments* values) {
    (void)which;
    (void)data;
    marked = marked + (nmisafe_argument(values, 0) == nmis);
}

static void set_up_traps(void) {
    nmisafe_tss* const tss = &nmi_stack.block.tss;
    const uint64_t task = (uintptr_t)tss, limit = sizeof *tss - 1;
    nmisafe_set_up_nmi_block(&nmi_stack.block, 0);
    for (unsigned i = 0; i < 3; ++i)
        tss->ist[1 + i] = (uintptr_t)(other_stacks[i] + sizeof other_stacks[i]);
    gdt[3] = limit | (task & 0xffffff) << 16 | UINT64_C(0x89) << 40 | (task >> 24 & 0xff) << 56;
    gdt[4] = task >> 32;
    __asm__ volatile("ltr %w0" : : "r"(TASK_SELECTOR));
    for (unsigned vector = 0; vector < 256; ++vector) {
        const uint8_t ist = vector == NMISAFE_VECTOR_NMI  ? NMISAFE_NMI_IST
                            : vector == NMISAFE_VECTOR_DB ? 2
                            : vector == NMISAFE_VECTOR_DF ? 3
                            : vector == NMISAFE_VECTOR_MC ? 4
                                                          : 0;
        nmisafe_fill_gate(idt, (uint8_t)vector, CODE_SELECTOR, ist);
    }
    const struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } table = {sizeof idt - 1, (uintptr_t)idt};
    __asm__ volatile("lidt %0" : : "m"(table) : "memory");
    nmisafe_set_nmi_handler(on_nmi);
    nmisafe_set_handler(NMISAFE_VECTOR_BP, on_breakpoint);
    nmisafe_set_page_fault_handler(on_page_fault);
}

static void set_up_probes(void) {
    static nmisafe_patch workspace[4];
    static nmisafe_probe mark = {.function = on_mark};
    static nmisafe_kprobe probe = {.pre = on_probe};
    require(nmisafe_marker_set_up(workspace, 4));
    require(nmisafe_marker_register("kernel", "nmi", "number %u", &mark));
    probe.address = probe.function = (uintptr_t)&probed_function;
    probe.slot = (uintptr_t)probe_slot;
    require(nmisafe_kprobe_insert(&probe));
}

#ifdef WITHOUT_NMISAFE
/* What most kernels do: the same handlers, and IRET (plain_entries.S). Their frames begin in another way, so that only
 * what on_breakpoint() needs is copied. */
void plain_nmi(void* frame);
void plain_breakpoint(uint64_t* frame);
void plain_page_fault(void* frame);
extern const uint8_t plain_nmi_entry[], plain_breakpoint_entry[], plain_page_fault_entry[];

void plain_nmi(void* frame) {
    nmisafe_nmi_enter();
    on_nmi(frame);
    nmisafe_nmi_exit();
}
void plain_breakpoint(uint64_t* words) { /* r11 to rax, 0, rip, cs, rflags, rsp, ss */
    nmisafe_frame frame;
    memset(&frame, 0, sizeof frame);
    frame.ip = words[10];
    frame.flags = words[12];
    frame.sp = words[13];
    if (!on_breakpoint(&frame))
        panic("a breakpoint of nobody's");
    words[10] = frame.ip;
}
void plain_page_fault(void* frame) {
    uintptr_t address;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    on_page_fault(frame, address);
}

static void lead_to(unsigned vector, const uint8_t* entry) {
    const uint64_t address = (uintptr_t)entry;
    idt[2 * vector] = (idt[2 * vector] & 0x0000ffffffff0000) | (address & 0xffff) |
                      (address >> 16 & 0xffff) << 48;
    idt[2 * vector + 1] = address >> 32;
}

static void use_plain_entries(void) {
    lead_to(NMISAFE_VECTOR_NMI, plain_nmi_entry);
    lead_to(NMISAFE_VECTOR_BP, plain_breakpoint_entry);
    lead_to(NMISAFE_VECTOR_PF, plain_page_fault_entry);
}
#endif

__attribute__((noreturn)) void kernel_main(void);
void kernel_main(void) {
    set_up_traps();
    const char* const wrong = nmisafe_check_setup(0, NULL);
    if (wrong != NULL)
        panic(wrong);
    set_up_probes();
#ifdef WITHOUT_NMISAFE
    use_plain_entries();
#endif
    map(false);
    if (!SENDS_NMIS)
        go_round();
    send_nmi_to_self();
    while (nmis < WANTED)
        __asm__ volatile("pause");
    print_number("NMIs ", nmis);
    print_number(", kprobe hits in them ", probed);
    print_number(", marker hits ", marked);
    print_number(", page faults ", page_faults);
    print(", NMIs in NMIs 0\n");
    stop(0);
}
