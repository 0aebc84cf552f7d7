/* SPDX-License-Identifier: MIT */
/* A kernel in C, played by a Linux process: it defines the contract, SIGTRAP is its #BP, it patches itself. What C
 * can call and that needs no ring 0 (as nmisafe_vmalloc_handle_fault, nmisafe_set_debug_control and nmisafe_check_setup
 * do) is called. Built as C11 at -O0 and -O2, for both widths, and as C++20. */
#ifndef _GNU_SOURCE /* C++ has it */
#define _GNU_SOURCE
#endif
#include "nmisafe/c_probes/hosted_contract_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static unsigned checks, failures;

static void check(bool holds, const char* what, int line) {
    ++checks;
    if (!holds && ++failures < 20)
        printf("%s:%d: check %u failed: %s\n", __FILE__, line, checks, what);
}
#define CHECK(condition) check((condition), #condition, __LINE__)

/* --- #BP ----------------------------------------------------------------------------------------------------------- */

static unsigned breakpoints;

static void on_trap(int number, siginfo_t* information, void* context) {
    greg_t* const from = ((ucontext_t*)context)->uc_mcontext.gregs;
    nmisafe_frame frame;
    (void)number;
    (void)information;
    memset(&frame, 0, sizeof frame);
    ++breakpoints;
#ifdef __x86_64__
    const int registers[] = {REG_R15, REG_R14, REG_R13, REG_R12, REG_R11, REG_R10, REG_R9, REG_R8,
                             REG_RBP, REG_RDI, REG_RSI, REG_RDX, REG_RBX, REG_RCX, REG_RAX};
    uint64_t* const first = &frame.r15;
    const int ip = REG_RIP;
    frame.sp = (uintptr_t)from[REG_RSP];
#else
    const int registers[] = {REG_EBP, REG_EDI, REG_ESI, REG_EDX, REG_EBX, REG_ECX, REG_EAX};
    uint32_t* const first = &frame.bp;
    const int ip = REG_EIP;
#endif
    const size_t words = sizeof registers / sizeof registers[0];
    for (size_t i = 0; i < words; ++i) /* in the frame's order */
        first[i] = (uintptr_t)from[registers[i]];
    frame.ip = (uintptr_t)from[ip];
    frame.flags = (uintptr_t)from[REG_EFL];
    if (!nmisafe_text_patch_handle_breakpoint(&frame) && !nmisafe_kprobe_handle_breakpoint(&frame))
        abort(); /* somebody else's */
    for (size_t i = 0; i < words; ++i)
        from[registers[i]] = (greg_t)first[i];
#ifdef __x86_64__
    from[REG_RSP] = (greg_t)frame.sp;
#endif
    from[ip] = (greg_t)frame.ip;
}

static bool set_up(void) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    const uintptr_t text = (uintptr_t)__executable_start & ~(page - 1);
    for (uintptr_t at = text; at < (uintptr_t)etext;
         at += page) /* what is not mapped, between segments, stays so */
        (void)mprotect((void*)at, page, PROT_READ | PROT_WRITE | PROT_EXEC);
    return sigaction(SIGTRAP, &action, NULL) == 0;
}

/* --- code to be patched and probed ---------------------------------------------------------------------------------- */

uint32_t patched_function(void) __asm__("patched_function"); /* C++ would give it a longer name */
uint32_t probed_function(uint32_t argument) __asm__("probed_function");
extern uint8_t patched_site[], probed_site[], slot[];
__asm__(".text\n"
        ".globl patched_function, patched_site, probed_function, probed_site, slot\n"
        ".balign 16\n"
        "patched_function:\n"
        "patched_site: .byte 0xb8\n .long 17\n" /* mov $17, %eax */
        "ret\n"
        ".balign 16\n"
        "probed_function:\n"
#ifdef __x86_64__
        "movl %edi, %eax\n"
#else
        "movl 4(%esp), %eax\n"
#endif
        "probed_site: addl $5, %eax\n"
        "ret\n"
        ".balign 32\n"
        "slot: .skip 32, 0xcc\n");

static uint32_t seen[8];
static unsigned steps;

static void look(void) {
    if (steps < 8)
        seen[steps++] = patched_function();
}

static void test_text_patch(void) {
    const uint8_t before[] = {0xb8, 17, 0, 0, 0}, after[] = {0xb8, 40, 0, 0, 0};
    nmisafe_patch one;
    memset(&one, 0, sizeof one);
    one.address = (uintptr_t)patched_site;
    one.size = sizeof before;
    memcpy(one.before, before, sizeof before);
    memcpy(one.after, after, sizeof after);
    CHECK(patched_function() == 17);
    const unsigned hits = breakpoints;
    after_synchronise = look; /* while INT3 stands there too */
    CHECK(nmisafe_text_patch(&one, 1) == NMISAFE_OK);
    after_synchronise = NULL;
    CHECK(steps == 3 && seen[0] == 17 && seen[1] == 17 && seen[2] == 40);
    CHECK(breakpoints == hits + 2);
    CHECK(patched_function() == 40);
    CHECK(nmisafe_text_patch(&one, 1) == NMISAFE_UNEXPECTED_BYTES);
    one.size = 0;
    CHECK(nmisafe_text_patch(&one, 1) == NMISAFE_BAD_SIZE);
    cpu.nmi_in_progress = 1;
    CHECK(nmisafe_text_patch(&one, 1) == NMISAFE_IN_NMI);
    cpu.nmi_in_progress = 0;
}

static uintptr_t pre_ip, pre_ax, post_ax;

static void on_pre(struct nmisafe_kprobe* probe, nmisafe_frame* frame) {
    pre_ip = frame->ip;
    pre_ax = frame->ax;
    *(unsigned*)probe->argument += 1;
    frame->ax += 100;
}
static void on_post(struct nmisafe_kprobe* probe, nmisafe_frame* frame) {
    (void)probe;
    post_ax = frame->ax;
}

static void test_kprobe(void) {
    static nmisafe_kprobe probe;
    unsigned calls = 0;
    probe.address = (uintptr_t)probed_site;
    probe.function = (uintptr_t)&probed_function;
    probe.pre = on_pre;
    probe.post = on_post;
    probe.argument = &calls;
    CHECK(probed_function(1) == 6);
    CHECK(nmisafe_kprobe_insert(&probe) == NMISAFE_NO_SLOT);
    probe.slot = (uintptr_t)slot;
    CHECK(nmisafe_kprobe_insert(&probe) == NMISAFE_OK);
    CHECK(nmisafe_kprobe_insert(&probe) == NMISAFE_WRONG_STATE);
    CHECK(probed_function(1) == 106);
    CHECK(calls == 1 && probe.hits == 1 && probe.completed == 1 && probe.missed == 0);
    CHECK(pre_ip == (uintptr_t)probed_site && pre_ax == 1 && post_ax == 106);
    CHECK(nmisafe_kprobe_original_address((uintptr_t)slot) == (uintptr_t)probed_site);
    CHECK(nmisafe_kprobe_remove(&probe) == NMISAFE_OK);
    CHECK(nmisafe_kprobe_release(&probe) == NMISAFE_OK);
    CHECK(nmisafe_kprobe_original_address((uintptr_t)slot) == (uintptr_t)slot);
    CHECK(probed_function(1) == 6 && calls == 1);
    probe.address += 1;
    CHECK(nmisafe_kprobe_insert(&probe) == NMISAFE_NOT_BOUNDARY);
}

/* --- markers and immediate values ----------------------------------------------------------------------------------- */

NMISAFE_C_MARKER_DECLARE(first_of_two, "a %d")
NMISAFE_C_MARKER_DEFINE(first_of_two, "twice", "same");
NMISAFE_C_MARKER_DECLARE(types, "%d %llx %hhu%c %p [%s] %zu")
NMISAFE_C_MARKER_DEFINE(types, "test", "types");
NMISAFE_C_MARKER_DECLARE(bare, "nothing")
NMISAFE_C_MARKER_DEFINE(bare, "test", "bare");
NMISAFE_C_MARKER_DECLARE(second_of_two, "b %d")
NMISAFE_C_MARKER_DEFINE(second_of_two, "twice", "same");
NMISAFE_C_BRANCH_DECLARE(extra)
NMISAFE_C_BRANCH_DEFINE(extra);
NMISAFE_C_IMMEDIATE_DECLARE(level, 1234)
NMISAFE_C_IMMEDIATE_DEFINE(level);
NMISAFE_C_IMMEDIATE_DECLARE(large, 0xfedcba98)
NMISAFE_C_IMMEDIATE_DEFINE(large);
NMISAFE_C_IMMEDIATE_DECLARE(negative, -1)
NMISAFE_C_IMMEDIATE_DEFINE(negative);

static unsigned evaluated, probe_calls;
static size_t values_seen;
static int64_t first_value;
static uint64_t values_of_hit[8];
static const char* text_of_hit;

static int evaluate(int value) {
    ++evaluated;
    return value;
}

static void on_hit(const nmisafe_marker* which, void* private_data,
                   const nmisafe_arguments* values) {
    ++probe_calls;
    CHECK(private_data == &probe_calls && strcmp(which->channel, "test") == 0);
    CHECK(count != 0); /* the preempt count is raised */
    values_seen = nmisafe_argument_count(values);
    for (size_t i = 0; i < values_seen; ++i)
        values_of_hit[i] = nmisafe_argument(values, i);
    if (values_seen == 7) {
        first_value = nmisafe_signed_argument(values, 0);
        text_of_hit = (const char*)(uintptr_t)values_of_hit[5];
    }
}

static void hit_both(void) {
    const signed char negative = 200 - 256; /* which %hhu shows as 200 */
    NMISAFE_C_MARK(types, evaluate(-2), 0x123456789abcdefULL, negative, 'c', (void*)&count, "text",
                   sizeof count);
    NMISAFE_C_MARK_ONLY(bare);
}

static void count_marker(const nmisafe_marker* which, void* argument) {
    if (strcmp(which->channel, "test") == 0)
        *(unsigned*)argument += 1;
}

/* Each error that a set-up or a registration may give, and that with it nothing has changed. */
static void test_marker_errors(void) {
    static nmisafe_patch workspace[1];
    static nmisafe_probe probe;
    const char* const format = nmisafe_marker_types.format;
    probe.function = on_hit;
    probe.private_data = &probe_calls;
    CHECK(nmisafe_marker_register("test", "types", NULL, &probe) == NMISAFE_NOT_SET_UP);
    nmisafe_marker_types.format = "%f %u";
    CHECK(nmisafe_marker_set_up(workspace, 1) == NMISAFE_BAD_MARKER);
    CHECK(nmisafe_marker_first_of_two.count == 0 && nmisafe_marker_second_of_two.count == 0);
    CHECK(nmisafe_marker_register("test", "types", NULL, &probe) == NMISAFE_NOT_SET_UP);
    CHECK(nmisafe_marker_register("test", "bare", NULL, &probe) == NMISAFE_NOT_SET_UP);
    nmisafe_marker_types.format = format;
    CHECK(nmisafe_marker_set_up(workspace, 0) == NMISAFE_OK);
    CHECK(nmisafe_marker_first_of_two.count == 1);
    CHECK(nmisafe_marker_register("test", "types", NULL, &probe) == NMISAFE_NO_ROOM);
    CHECK(nmisafe_branch_set(&nmisafe_branch_extra, true) == NMISAFE_NO_ROOM);
    CHECK(nmisafe_marker_register("twice", "same", NULL, &probe) == NMISAFE_AMBIGUOUS);
    CHECK(nmisafe_marker_set_up(workspace, 1) == NMISAFE_OK);
    interrupts_off = true;
    CHECK(nmisafe_marker_register("test", "types", NULL, &probe) == NMISAFE_CANNOT_SYNCHRONISE);
    CHECK(nmisafe_branch_set(&nmisafe_branch_extra, true) == NMISAFE_CANNOT_SYNCHRONISE);
    interrupts_off = false;
    hit_both();
    CHECK(evaluated == 0 && probe_calls == 0 && !nmisafe_branch_is_on_extra());
}

static void test_markers(void) {
    static nmisafe_patch workspace[16];
    static nmisafe_probe probe;
    unsigned markers = 0;
    probe.function = on_hit;
    probe.private_data = &probe_calls;
    hit_both();
    CHECK(evaluated == 0 && probe_calls == 0);
    CHECK(nmisafe_marker_set_up(workspace, 16) == NMISAFE_OK);
    nmisafe_for_each_marker(count_marker, &markers);
    CHECK(markers == 2);
    CHECK(nmisafe_marker_register("test", "none", NULL, &probe) == NMISAFE_NO_MARKER);
    CHECK(nmisafe_marker_register("test", "types", "%d", &probe) == NMISAFE_FORMAT_MISMATCH);
    CHECK(nmisafe_marker_register("test", "types", nmisafe_marker_format_types, &probe) ==
          NMISAFE_OK);
    CHECK(nmisafe_marker_register("test", "bare", NULL, &probe) == NMISAFE_PROBE_IN_USE);
    hit_both();
    CHECK(evaluated == 1 && probe_calls == 1 && values_seen == 7 && count == 0);
    CHECK(first_value == -2 && values_of_hit[1] == 0x123456789abcdef && values_of_hit[2] == 200);
    CHECK(values_of_hit[3] == 'c' && values_of_hit[4] == (uintptr_t)&count &&
          values_of_hit[6] == sizeof count);
    CHECK(text_of_hit != NULL && strcmp(text_of_hit, "text") == 0);
    CHECK(nmisafe_marker_unregister(&probe) == NMISAFE_OK);
    CHECK(nmisafe_marker_unregister(&probe) == NMISAFE_NOT_REGISTERED);
    hit_both();
    CHECK(probe_calls == 1);
    CHECK(nmisafe_marker_synchronise() == NMISAFE_OK && grace_periods == 1);
    CHECK(nmisafe_marker_register("test", "bare", NULL, &probe) == NMISAFE_OK);
    hit_both();
    CHECK(probe_calls == 2 && values_seen == 0 && evaluated == 1);
    CHECK(nmisafe_marker_unregister(&probe) == NMISAFE_OK);
}

static void test_immediates(void) {
    CHECK(!nmisafe_branch_is_on_extra() && nmisafe_read_level() == 1234);
    CHECK(nmisafe_read_large() == 0xfedcba98 && nmisafe_immediate_large.bits == 0xfedcba98);
    CHECK(nmisafe_read_negative() == 0xffffffff && nmisafe_immediate_negative.bits == 0xffffffff);
    CHECK(nmisafe_branch_set(&nmisafe_branch_extra, true) == NMISAFE_OK);
    CHECK(nmisafe_immediate_set(&nmisafe_immediate_level, 0xfedcba98) == NMISAFE_OK);
    CHECK(nmisafe_branch_is_on_extra() && nmisafe_read_level() == 0xfedcba98);
    CHECK(nmisafe_branch_set(&nmisafe_branch_extra, false) == NMISAFE_OK);
    CHECK(!nmisafe_branch_is_on_extra());
}

/* --- context, mappings, traps ---------------------------------------------------------------------------------------- */

static void test_context(void) {
    CHECK(nmisafe_preempt_count() == 0 && !nmisafe_in_interrupt());
    nmisafe_preempt_disable();
    CHECK(nmisafe_preempt_count() == 1 && count == 1);
    nmisafe_irq_enter();
    CHECK(nmisafe_in_irq() && !nmisafe_in_nmi());
    nmisafe_nmi_enter();
    CHECK(nmisafe_in_nmi() && nmisafe_in_interrupt());
    nmisafe_nmi_exit();
    nmisafe_irq_exit();
    nmisafe_preempt_enable();
    CHECK(count == 0);
}

static void test_vmalloc(void) {
#ifdef __x86_64__
    const nmisafe_area area = {0xffffc00000000000, 0xffffc08000000000, 3};
#else
    const nmisafe_area area = {0xe0000000, 0xe1000000, 2};
#endif
    const nmisafe_area bad = {area.begin + 1, area.end, area.shared_level};
    const uint64_t pages[] = {5 * 4096, 3 * 4096};
    const uint64_t second_table = nmisafe_c_allocate_page();
    void *mapped = NULL, *other = NULL;
    CHECK(nmisafe_vmalloc_set_up(&bad) == NMISAFE_BAD_AREA);
    CHECK(nmisafe_vmalloc_set_up(&area) == NMISAFE_OK);
    CHECK(nmisafe_vmalloc(&area, 0, NMISAFE_READ_WRITE, &mapped) == NMISAFE_BAD_SIZE &&
          mapped == NULL);
    CHECK(nmisafe_vmalloc(&area, 3 * 4096, NMISAFE_READ_WRITE, &mapped) == NMISAFE_OK);
    CHECK((uintptr_t)mapped >= area.begin && (uintptr_t)mapped + 3 * 4096 <= area.end);
    CHECK(nmisafe_physical_address(&area, (uintptr_t)mapped + 5) % 4096 == 5);
    CHECK(nmisafe_vmap(&area, pages, 2, NMISAFE_READ_ONLY, &other) == NMISAFE_OK);
    CHECK(nmisafe_physical_address(&area, (uintptr_t)other + 4096) == pages[1]);
    CHECK(is_writable(mapped) && !is_writable(other));
    CHECK(nmisafe_set_permission(&area, mapped, NMISAFE_EXECUTE) == NMISAFE_OK);
    CHECK(!is_writable(mapped) && !is_no_execute(mapped));
    CHECK(is_no_execute(other) == (sizeof(uintptr_t) == 8));
    CHECK(nmisafe_set_permission(&area, mapped, NMISAFE_READ_WRITE) == NMISAFE_OK);
    CHECK(is_writable(mapped) && is_no_execute(mapped) == (sizeof(uintptr_t) == 8));
    CHECK(nmisafe_vmalloc_add_to(second_table, &area) == NMISAFE_OK);
    /* On x86-32 the top table is the shared level itself: there is none above it to be had. */
    CHECK((entry_of(second_table, 1, area.begin) != 0) == (sizeof(uintptr_t) == 8));
    CHECK(nmisafe_vmalloc_remove_from(second_table, &area) == NMISAFE_OK);
    CHECK(entry_of(second_table, 1, area.begin) == 0);
    CHECK(nmisafe_vfree(&area, other) == NMISAFE_NOT_MAPPED);
    CHECK(nmisafe_vunmap(&area, other) == NMISAFE_OK);
    CHECK(nmisafe_vfree(&area, mapped) == NMISAFE_OK && flushes != 0 && locks == 0);
    CHECK(nmisafe_physical_address(&area, (uintptr_t)mapped) == 0);
    CHECK(nmisafe_vmalloc_add_to(4096, &area) == NMISAFE_KERNEL_SPACE);
    CHECK(nmisafe_vmalloc_remove_from(4096, &area) == NMISAFE_KERNEL_SPACE);
    CHECK(nmisafe_vmalloc_sync_mappings(&area) == NMISAFE_OK);
}

static bool on_vector(nmisafe_frame* frame) {
    return frame != NULL;
}

static void test_traps(void) {
    static uint64_t idt[2 * 256];
    nmisafe_set_handler(NMISAFE_VECTOR_BP, on_vector);
    nmisafe_fill_gate(idt, NMISAFE_VECTOR_NMI, 8, 1);
#ifdef __x86_64__
    const uint64_t low = idt[2 * NMISAFE_VECTOR_NMI], high = idt[2 * NMISAFE_VECTOR_NMI + 1];
    const uint64_t entry = (low & 0xffff) | (low >> 48 << 16) | high << 32;
    CHECK((low >> 32 & 7) == 1);
#else
    extern uint16_t nmisafe_trap_percpu_selector; /* what the NMI's entry loads */
    const uint64_t low = idt[NMISAFE_VECTOR_NMI];
    const uint64_t entry = (low & 0xffff) | (low >> 48 << 16);
    nmisafe_set_percpu_selector(48);
    CHECK(nmisafe_trap_percpu_selector == 48);
#endif
    CHECK(entry == nmisafe_entry_address(NMISAFE_VECTOR_NMI) && (low >> 16 & 0xffff) == 8);
    CHECK(strcmp(nmisafe_error_name(NMISAFE_BUSY), "NMISAFE_BUSY") == 0);
    CHECK(strcmp(nmisafe_error_name((nmisafe_error)99), "?") == 0);
    for (int error = NMISAFE_OK; error <= NMISAFE_KERNEL_SPACE; ++error)
        CHECK(strcmp(nmisafe_error_name((nmisafe_error)error), "?") != 0);
}

int main(void) {
    if (!set_up()) {
        perror("set_up");
        return 1;
    }
    test_context();
    test_text_patch();
    test_kprobe();
    test_marker_errors();
    test_markers();
    test_immediates();
    test_vmalloc();
    test_traps();
    printf("checks %u, failures %u, breakpoints %u\n", checks, failures, breakpoints);
    return failures != 0;
}
