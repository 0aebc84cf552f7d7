// SPDX-License-Identifier: MIT
// user-isolation: in the image whose tasks have page tables of their own, with next to nothing of
// the kernel.
//
//   mapped        what a task's tables have of the kernel, all of it; what a task is told that reads the kernel
//   syscall, syscall-iret, int-80, debug
//                 an NMI at each boundary of a way into the kernel and back, its handler raises another and hits INT3.
//                 It runs with the kernel's tables, and the task goes on with its own: it reads a word of the
//                 kernel's, and the page fault says that there is no such page
//   latch         an NMI at each boundary of another one's entry and exit, CR3 being another than an NMI's: it runs
//                 with its own, also again, and CR3 is as before
//   watched       the same for #DB from ring 0, where CR3 is the task's and RSP the task's or none, and where not
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
#include "kernel/common/image.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "kernel/memory/stacks.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/entry_calls.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" [[NMISAFE_ASSEMBLY_CALL]] bool window_software_nmi(void* block);

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uintptr_t nothing = 100; // a system call that does nothing
// Error codes of a task's read. [intel/vol3 4.7]
constexpr uintptr_t not_present = 4, not_allowed = 5;

// movb (%rbx), %al: RBX says what is read. Behind a way into the kernel.
constexpr uint8_t read_code[] = {0x8a, 0x03};
constexpr uint8_t syscall_code[] = {0x0f, 0x05, 0x8a, 0x03};
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
        if (page == reinterpret_cast<uintptr_t>(one.entry_stack))
            return true;
        for (unsigned i = 0; i < 4; ++i) // NMI, #DF, #MC, #DB
            if (page == ((one.nmi_block->tss.ist[i] - 1) & ~(page_size - 1)))
                return true;
    }
    return is_in(page, &nmisafe_trap_removed, sizeof(uint32_t)) ||
           is_in(page, &nmisafe_user_removed, sizeof(uint32_t));
}

uint32_t pages_seen;

/// All pages of the upper half below a table.
void look_at(uintptr_t table, unsigned level, uintptr_t begin) {
    constexpr uintptr_t entries = 512;
    const auto* const words = static_cast<const uintptr_t*>(physical_to_virtual(table));
    for (uintptr_t i = begin == 0 ? entries / 2 : 0; i < entries; ++i) {
        const uintptr_t entry = words[i];
        if (entry == 0)
            continue;
        uintptr_t address = begin | i << (12 + 9 * level);
        if (begin == 0)
            address |= ~uintptr_t{0} << 48;
        const bool is_page = level == 0 || (entry & x86::page_entry::large) != 0;
        if (!is_page) {
            look_at(entry & ~uintptr_t{0xfff}, level - 1, address);
            continue;
        }
        ++pages_seen;
        constexpr uintptr_t global = 0x100;
        if (level != 0 || (entry & (x86::page_entry::user | global)) != 0 || !is_needed(address))
            fail("a page of the kernel in a task's tables", 0, address);
    }
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
    look_at(sample.space->task_table, 3, 0);
    // At the least: text, IDT, and a CPU's words and four stacks.
    if (pages_seen < 7)
        fail("pages of the kernel in a task's tables, at the least", 7, pages_seen);
    const auto own = reinterpret_cast<uintptr_t>(&this_cpu());
    uintptr_t here;
    asm("mov %%rsp, %[here]" : [here] "=r"(here));
    for (const uintptr_t address :
         {own, reinterpret_cast<uintptr_t>(&scene), here, text_address(kernel_text_begin),
          uintptr_t{KERNEL_DIRECT_BASE}, uintptr_t{KERNEL_VMALLOC_BASE},
          this_cpu().nmi_block->tss.ist[0] - 2 * page_size})
        expect_read(address, not_present);
    for (const uintptr_t address :
         {reinterpret_cast<uintptr_t>(&this_cpu().user), text_address(__start_nmisafe_trap_text),
          reinterpret_cast<uintptr_t>(this_cpu().nmi_block)})
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
}

constexpr road roads[] = {
    {"syscall", instructions(syscall_code), prepare_syscall},
    {"syscall-iret", instructions(syscall_code),
     [](task& which) {
         prepare_syscall(which);
         which.on_system_call = [](task& of, trap_frame& frame) { frame.r11 = of.frame.trap.r11; };
     }},
    {"int-80", instructions(int_80_code), prepare_syscall},
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
    begin_pass(false);
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
    frame.flags &= ~uint64_t{X86_FLAGS_TF};
    return true;
}

void under_nmis() {
    for (const road& which : roads) {
        current = &which;
        set_user_scene(body);
        scene.distrusts_sp = true;
        trap::set_handler(X86_VECTOR_DB, end_step);
        sweep_nmi({[] { run_task(ended); }, prepare, both_handled, check});
        scene.count.boundaries = sweep_injections();
        print_row(which.name);
    }
}

// --- an NMI in an NMI's entry and exit ------------------------------------------------------------

address_space* of_nmi; // it has all of the kernel, as the kernel's own
bool came_back;

void latch() {
    of_nmi = create_address_space();
    trap::nmi_block& block = *this_cpu().nmi_block;
    const uint64_t before = block.kernel_tables;
    block.kernel_tables = of_nmi->top_table;
    set_scene([](trap_frame& frame) {
        sweep_event();
        first_of_pass(frame);
        if (x86::read_cr3() != of_nmi->top_table)
            fail("page tables in an NMI", of_nmi->top_table, x86::read_cr3());
    });
    sweep_nmi({[] { came_back = window_software_nmi(this_cpu().nmi_block); },
               [] {
                   begin_pass(false);
                   ++scene.count.raised; // the one begun by software
               },
               both_handled,
               [] {
                   expect_two_handlers(nullptr);
                   if (!came_back)
                       fail("a register did not come back", 1, 0);
                   if (x86::read_cr3() != kernel_space().top_table)
                       fail("page tables behind an NMI", kernel_space().top_table, x86::read_cr3());
                   switch_to(kernel_space());
               }});
    block.kernel_tables = before;
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
    // Each way writes and reads it, once before and once behind the change of CR3.
    // DR0, 8 bytes, read or written
    constexpr uintptr_t watch_word = X86_DR7_DISARMED | 1 | 0xb0000;
    prepare_task();
    x86::write_breakpoint_address(0, reinterpret_cast<uintptr_t>(&this_cpu().user.scratch));
    trap::set_debug_control(watch_word);
    run_task(ended);
    trap::set_debug_control(X86_DR7_DISARMED);
    check_read();
    if (handled != 4)
        fail("hits of the watched word", 4, handled);
    scene.count.boundaries += handled;
    print_row("watched");
}

} // namespace

void user_isolation() {
    x86::disable_interrupts();
    if (nmisafe_trap_removed == 0)
        mapped();
    under_nmis();
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
