// SPDX-License-Identifier: MIT
// user-isolation: in the image whose tasks have page tables of their own, with next to nothing of
// the kernel.
//
//   mapped        what a task's tables have of the kernel, all of it; what a task is told that reads the kernel
//   syscall, syscall-iret, int-80, debug
//                 an NMI at each boundary of a way into the kernel and back, its handler raises another and hits INT3.
//                 It runs with the kernel's tables, and the task goes on with its own: it reads a word of the
//                 kernel's, and the page fault says that there is no such page
//   latch         an NMI at each boundary of another one's entry and exit, CR3 being another than an NMI's, on x86-32 a
//                 task's: it runs with its own, also again, and CR3 is as before
//   watched       the same for #DB from ring 0, where CR3 is the task's, and RSP the task's or none (x86-32: the entry
//                 stack's), and where not
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
#include "kernel/common/image.hpp"
#include "kernel/cpu/cet.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "kernel/memory/stacks.hpp"
#include "kernel/memory/user_tables.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/entry_calls.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" {
#ifdef __x86_64__
[[NMISAFE_ASSEMBLY_CALL]] bool window_software_nmi(void* block);
#else
[[NMISAFE_ASSEMBLY_CALL]] bool window_task_nmi();
extern const char window_task_nmi_end[];
#endif
}

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uintptr_t nothing = 100; // a system call that does nothing
// Error codes of a task's read. [intel/vol3 4.7]
constexpr uintptr_t not_present = 4, not_allowed = 5;

// movb (%rbx), %al: RBX says what is read. Behind a way into the kernel.
constexpr uint8_t read_code[] = {0x8a, 0x03};
#ifdef __x86_64__
constexpr uint8_t syscall_code[] = {0x0f, 0x05, 0x8a, 0x03};
#else
constexpr uint8_t syscall_code[] = {0x0f, 0x34, 0x8a, 0x03}; // sysenter
#endif
constexpr uint8_t int_80_code[] = {0xcd, 0x80, 0x8a, 0x03};
constexpr uint8_t debug_code[] = {0x90, 0x90, 0x8a, 0x03};
constexpr uintptr_t read_offset = 2; // in all but the first

bool is_in(uintptr_t page, const void* begin, size_t size) {
    const auto first = reinterpret_cast<uintptr_t>(begin) & ~(page_size - 1);
    return page >= first && page < reinterpret_cast<uintptr_t>(begin) + size;
}

/// Whether user/layout.h asks for this page of the kernel.
bool is_needed(uintptr_t page) {
    const x86::table_register interrupt_table = internal::interrupt_table_register();
    if (is_in(page, __start_nmisafe_trap_text,
              static_cast<size_t>(__stop_nmisafe_trap_text - __start_nmisafe_trap_text)) ||
        page == interrupt_table.base)
        return true;
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        const cpu& one = cpu_at(id);
        if (is_in(page, &one.user, sizeof(one.user)) ||
            page == ((one.user.entry_stack - 1) & ~(page_size - 1)))
            return true;
#ifdef __x86_64__
        for (unsigned i = 0; i < 4; ++i) // NMI, #DF, #MC, #DB
            if (page == ((one.nmi_block->tss.ist[i] - 1) & ~(page_size - 1)))
                return true;
#endif
    }
    return is_in(page, &nmisafe_trap_removed, sizeof(uint32_t)) ||
           is_in(page, &nmisafe_user_removed, sizeof(uint32_t));
}

uint32_t pages_seen;

/// All pages of the upper half below a table.
void look_at(uintptr_t table, unsigned level, uintptr_t begin) {
    constexpr x86::paging_format format = x86::format_of(paging);
    // PAE's top-level table has fewer; addresses end there.
    constexpr uintptr_t entries = page_size / format.entry_size;
    constexpr uintptr_t entry_words = format.entry_size / sizeof(uintptr_t);
    const uintptr_t reach = uintptr_t{1} << (12 + format.index_bits * level); // of an entry
    const bool is_top = level == format.levels - 1;
    const auto* const words = static_cast<const uintptr_t*>(physical_to_virtual(table));
    uintptr_t address = is_top ? KERNEL_DIRECT_BASE : begin;
    uintptr_t left = is_top ? 0 - address : reach * entries;
    for (; left != 0; address += reach, left -= reach) {
        const uintptr_t entry = words[(address / reach & (entries - 1)) * entry_words];
        if (entry == 0)
            continue;
        const bool is_page = level == 0 || (entry & x86::page_entry::large) != 0;
        if (!is_page) {
            look_at(entry & ~uintptr_t{0xfff}, level - 1, address);
            continue;
        }
        ++pages_seen;
        constexpr uintptr_t global = 0x100;
        constexpr uintptr_t writable = x86::page_entry::writable;
        constexpr uintptr_t dirty = x86::page_entry::dirty;
        const bool shadow_stack = uses_shadow_stacks() && (entry & (writable | dirty)) == dirty;
        if (level != 0 || (entry & (x86::page_entry::user | global)) != 0 ||
            (!is_needed(address) && !shadow_stack))
            fail("a page of the kernel in a task's tables", 0, address);
    }
}

/// Of a stack whose last page is shared.
uintptr_t shared_stack_end() {
#ifdef __x86_64__
    return this_cpu().nmi_block->tss.ist[0];
#else
    return this_cpu().user.entry_stack;
#endif
}

void expect_read(uintptr_t address, uintptr_t error) {
    task ended = make_task(instructions(read_code));
    ended.frame.trap.bx = address;
    run_task(ended);
    if (ended.address != address)
        fail("the address of the page fault", address, ended.address);
    expect_fault(ended, X86_VECTOR_PF, error, user_code);
    ++scene.count.boundaries;
}

void mapped() {
    set_user_scene(nullptr);
    const task sample = make_task(instructions(read_code));
    pages_seen = 0;
    look_at(sample.space->task_table, x86::format_of(paging).levels - 1, 0);
    // Text, IDT, and a CPU's words and four stacks; x86-32: one.
    constexpr uint32_t at_the_least = sizeof(uintptr_t) == 8 ? 7 : 4;
    if (pages_seen < at_the_least)
        fail("pages of the kernel in a task's tables, at the least", at_the_least, pages_seen);
    const auto own = reinterpret_cast<uintptr_t>(&this_cpu());
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    for (const uintptr_t address :
         {own, reinterpret_cast<uintptr_t>(&scene), here, text_address(kernel_text_begin),
          uintptr_t{KERNEL_DIRECT_BASE}, uintptr_t{KERNEL_VMALLOC_BASE},
          shared_stack_end() - 2 * page_size})
        expect_read(address, not_present);
    for (const uintptr_t address :
         {reinterpret_cast<uintptr_t>(&this_cpu().user), text_address(__start_nmisafe_trap_text),
          shared_stack_end() - 1})
        expect_read(address, not_allowed);
    print_row("mapped");
}

// --- an NMI at each instruction, and what the task reads then ------------------------------------

struct road {
    const char* name;
    user_instructions code;
    void (*prepare)(task&);
};

void prepare_syscall(task& which) {
    which.frame.trap.ax = nothing;
#ifdef __i386__
    which.frame.trap.dx = user_code + read_offset;
    which.frame.trap.cx = which.frame.sp();
#endif
}

/// So that the way back is IRET's.
void change_frame([[maybe_unused]] task& of, trap_frame& frame) {
#ifdef __x86_64__
    frame.r11 = of.frame.trap.r11;
#else
    frame.cx = 0;
#endif
}

constexpr road roads[] = {
    {"syscall", instructions(syscall_code), prepare_syscall},
    {"syscall-iret", instructions(syscall_code),
     [](task& which) {
         prepare_syscall(which);
         which.on_system_call = change_frame;
     }},
    {"int-80", instructions(int_80_code), [](task& which) { which.frame.trap.ax = nothing; }},
    {"debug", instructions(debug_code),
     [](task& which) { which.frame.trap.flags |= X86_FLAGS_TF; }},
};

const road* current;
task ended;

void expect_kernel_tables(const char* what) {
    const uintptr_t found = x86::read_cr3();
    if (found != ended.space->top_table && found != kernel_space().top_table)
        fail(what, ended.space->top_table, found);
}

void body(trap_frame& frame) {
    sweep_event();
    expect_kernel_tables("page tables in an NMI");
    if (first_of_pass(frame))
        raise_nmi_here();
    hit_breakpoint();
}

/// The task is to read a word of the kernel's, and what it reads ends it.
void prepare_task() {
    ended = make_task(current->code);
    current->prepare(ended);
    ended.frame.trap.bx = reinterpret_cast<uintptr_t>(&scene);
}

void prepare() {
    begin_pass(true);
    prepare_task();
}

void check_read() {
    expect_fault(ended, X86_VECTOR_PF, not_present, user_code + read_offset);
}

void check() {
    settle();
    expect_two_handlers(nullptr);
    check_read();
}

bool end_step(trap_frame& frame) {
    expect_kernel_tables("page tables in #DB");
    frame.flags &= ~uintptr_t{X86_FLAGS_TF};
    return true;
}

void under_nmis() {
    for (const road& which : roads) {
        current = &which;
        set_user_scene(body);
        scene.other_text = user_code;
        scene.distrusts_sp = true;
        trap::set_handler(X86_VECTOR_DB, end_step);
        sweep_nmi({[] { run_task(ended); }, prepare, both_handled, check});
        scene.count.boundaries = sweep_injections();
        print_row(which.name);
        print_recorded(which.name);
    }
}

// --- an NMI in an NMI's entry and exit ------------------------------------------------------------

address_space* of_nmi; // it has all of the kernel, as the kernel's own
bool came_back;

void let_nmi_load(const address_space& space) {
#ifdef __x86_64__
    this_cpu().nmi_block->kernel_tables = space.top_table;
#else
    set_page_tables(this_cpu(), space);
#endif
}

void software_nmi() {
#ifdef __x86_64__
    came_back = window_software_nmi(this_cpu().nmi_block);
#else
    came_back = window_task_nmi();
#endif
}

void latch() {
#ifdef __i386__
    const auto code = reinterpret_cast<uintptr_t>(window_task_nmi);
    share_with_user_tables(code, reinterpret_cast<uintptr_t>(window_task_nmi_end) - code);
#endif
    of_nmi = create_address_space();
    let_nmi_load(*of_nmi);
    set_scene([](trap_frame& frame) {
        sweep_event();
        first_of_pass(frame);
        if (x86::read_cr3() != of_nmi->top_table)
            fail("page tables in an NMI", of_nmi->top_table, x86::read_cr3());
    });
    sweep_nmi({software_nmi,
               [] {
                   begin_pass(false);
                   ++scene.count.raised; // the one begun by software
               },
               both_handled,
               [] {
                   expect_two_handlers(nullptr);
                   if (!came_back)
                       fail("a register, or CR3, did not come back", 1, 0);
                   if (x86::read_cr3() != kernel_space().top_table)
                       fail("page tables behind an NMI", kernel_space().top_table, x86::read_cr3());
                   switch_to(kernel_space());
               }});
    let_nmi_load(kernel_space());
    destroy_address_space(of_nmi);
    scene.count.boundaries = sweep_injections();
    print_row("latch");
}

// --- #DB on the way in and back ------------------------------------------------------------------

uint32_t handled;

void watched() {
    set_user_scene(nullptr);
    handled = 0;
    trap::set_handler(X86_VECTOR_DB, [](trap_frame& frame) {
        expect_kernel_tables("page tables in #DB");
        if (user::is_from_user(frame))
            fail("CS of #DB", KERNEL_CODE_SELECTOR, frame.cs);
        ++handled;
        return true;
    });
    current = &roads[0];
    // Each way in or back touches it once before and once behind the change of CR3: SYSCALL's alone. x86-32: the
    // lowest word of the frame on the entry stack, and the task's begin and end are ways too.
#ifdef __x86_64__
    constexpr uint32_t ways = 2;
    const auto watched_word = reinterpret_cast<uintptr_t>(&this_cpu().user.scratch);
    // DR0, 8 bytes, read or written
    constexpr uintptr_t watch_word = X86_DR7_DISARMED | 1 | 0xb0000;
#else
    constexpr uint32_t ways = 4;
    const uintptr_t watched_word = this_cpu().user.entry_stack - sizeof(user::user_frame);
    constexpr uintptr_t watch_word = X86_DR7_DISARMED | 1 | 0xf0000; // 4 bytes
#endif
    prepare_task();
    x86::write_breakpoint_address(0, watched_word);
    trap::set_debug_control(watch_word);
    run_task(ended);
    trap::set_debug_control(X86_DR7_DISARMED);
    check_read();
    if (handled != 2 * ways)
        fail("hits of the watched word", 2 * ways, handled);
    scene.count.boundaries += handled;
    print_row("watched");
}

} // namespace

void user_isolation() {
    x86::disable_interrupts();
    if (nmisafe_trap_removed == 0)
        mapped();
    under_nmis();
    if (!uses_shadow_stacks()) // an NMI that software begins has none
        latch();
    watched();
}

/// NMIs that run with the page tables they find: nothing of what their handler needs is there.
void crash_task_tables() {
    x86::disable_interrupts();
    nmisafe_trap_removed |= NMISAFE_WITHOUT_TABLES;
    under_nmis();
}

} // namespace kernel
#endif // NMISAFE_PAGE_TABLE_ISOLATION
