// SPDX-License-Identifier: MIT
#include "kernel/experiments/user/user_scene.hpp"

#include "kernel/console/command_line.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

constexpr uintptr_t register_count = offsetof(x86::trap_frame, vector) / sizeof(uintptr_t);
constexpr uint8_t ud2[] = {0x0f, 0x0b};

address_space* space;
uintptr_t lazy_page;
uint8_t latest_code[64];
size_t latest_size;

#ifdef __i386__
struct kernel_segments {
    uint16_t ds, es, fs, gs;
};

kernel_segments read_segments() {
    kernel_segments found;
    asm volatile(
        "mov %%ds, %[ds]\n\tmov %%es, %[es]\n\tmov %%fs, %[fs]\n\tmov %%gs, %[gs]"
        : [ds] "=r"(found.ds), [es] "=r"(found.es), [fs] "=r"(found.fs), [gs] "=r"(found.gs));
    return found;
}

constexpr uint16_t decoy_selector = KERNEL_USER_DATA_SELECTOR;

void load_kernel_gs() {
    asm volatile("mov %[data], %%ds\n\tmov %[data], %%es\n\tmov %[gs], %%gs"
                 :
                 : [data] "r"(data_selector), [gs] "r"(KERNEL_PER_CPU_SELECTOR)
                 : "memory");
}
#endif

void make_space() {
    space = create_address_space();
    map_user(*space, user_code, allocate_page(), false, true);
    for (uintptr_t page = user_data; page < user_data_end; page += page_size)
        map_user(*space, page, allocate_page(), true, false);
    map_user(*space, user_apic, local_apic::address, true, false);
    map_user(*space, user_constants, allocate_page(), false, false);
    lazy_page = allocate_page();
}

void write_code(user_instructions code, uintptr_t offset) {
    auto* const page = static_cast<uint8_t*>(user_memory(*space, user_code, false));
    __builtin_memset(page, 0x90, page_size);
    uint8_t* const memory = page + offset;
    latest_size = code.size < sizeof(latest_code) ? code.size : sizeof(latest_code);
    __builtin_memcpy(latest_code, code.bytes, latest_size);
    __builtin_memcpy(memory, code.bytes, code.size);
    __builtin_memcpy(memory + code.size, ud2, sizeof(ud2));
}

} // namespace

void set_user_scene(void (*nmi_body)(x86::trap_frame&)) {
    set_scene(nmi_body);
    set_up_user_mode();
    trap::set_handler(X86_VECTOR_BP, [](x86::trap_frame& frame) {
        return handle_user_exception(frame) || handle_scene_breakpoint(frame);
    });
    trap::set_page_fault_handler([](x86::trap_frame& frame, uintptr_t address) {
        return handle_user_page_fault(frame, address) || handle_scene_page_fault(frame, address);
    });
    if (space == nullptr)
        make_space();
    reset_user_memory();
}

task make_task(user_instructions code, uintptr_t offset) {
    write_code(code, offset);
    task made{};
    made.space = space;
    made.frame = make_user_frame(user_code + offset, user_data_end - 64);
    auto* const registers = reinterpret_cast<uintptr_t*>(&made.frame.trap);
    for (uintptr_t i = 0; i < register_count; ++i)
        registers[i] = static_cast<uintptr_t>(0x1234'5678'9abc'0000 + i * 0x0101'0101'0101'0101);
#ifdef __x86_64__
    made.fs_base = 0x0000'7f00'1111'2000;
    made.gs_base = 0x0000'7f00'3333'4000;
#else
    made.frame.fs = KERNEL_USER_CODE_SELECTOR;
    made.frame.gs = KERNEL_USER_STACK_16_SELECTOR;
#endif
    return made;
}

void prepare_to_raise_nmi(task& which) {
    constexpr uintptr_t command_low = 0x300;
    local_apic::command_high() = local_apic::id() & 0xff000000;
    which.frame.trap.di = user_apic + command_low;
    which.frame.trap.si = local_apic::deliver_nmi | local_apic::level_assert;
    ++scene.tickets;
    ++scene.count.raised;
}

void reset_user_memory() {
    for (uintptr_t page = user_data; page < user_data_end; page += page_size)
        __builtin_memset(in_user_memory(page), 0, page_size);
    if (user_memory(*space, user_lazy, false) != nullptr)
        unmap(*space, user_lazy);
}

void map_lazy_user_page() {
    map_user(*space, user_lazy, lazy_page, true, false);
}

uintptr_t map_last_user_page() {
    constexpr uintptr_t end = sizeof(uintptr_t) == 8 ? static_cast<uintptr_t>(uint64_t{1} << 47)
                                                     : uintptr_t{KERNEL_DIRECT_BASE};
    constexpr uintptr_t page = end - page_size;
    if (user_memory(*space, page, false) == nullptr)
        map_user(*space, page, allocate_page(), false, true);
    auto* const memory = static_cast<uint8_t*>(user_memory(*space, page, false));
    __builtin_memcpy(memory + page_size - latest_size, latest_code, latest_size);
    return end;
}

#ifdef __x86_64__
uintptr_t nmi_stack_end() {
    return reinterpret_cast<uintptr_t>(this_cpu().nmi_block);
}
#endif

void* in_user_memory(uintptr_t address) {
    return user_memory(*space, address, false);
}

void expect_kernel_state(const x86::trap_frame& frame, const task& which) {
#ifdef __x86_64__
    const auto own = reinterpret_cast<uintptr_t>(&this_cpu());
    if (x86::read_msr(X86_MSR_GS_BASE) != own)
        fail("GS base in the kernel", own, x86::read_msr(X86_MSR_GS_BASE));
    if (x86::read_msr(X86_MSR_KERNEL_GS_BASE) != which.gs_base)
        fail("the task's GS base", which.gs_base, x86::read_msr(X86_MSR_KERNEL_GS_BASE));
#ifdef NMISAFE_SHADOW_STACK
    // Of an event on an IST too: the next one there would find its token busy.
    if (const uintptr_t token = this_cpu().user.shadow_stack, ssp = x86::read_ssp();
        ssp != 0 && (ssp >= token || token - ssp >= page_size))
        fail("SSP, away from the thread's shadow stack", token, ssp);
#endif
#else
    const kernel_segments found = read_segments();
    if (found.ds != data_selector || found.es != data_selector || found.fs != 0 ||
        found.gs != KERNEL_PER_CPU_SELECTOR)
        fail("GS in the kernel, or another segment", KERNEL_PER_CPU_SELECTOR, found.gs);
    static_cast<void>(which);
#endif
    constexpr uintptr_t above = sizeof(user::user_frame) - offsetof(user::user_frame, trap);
    const uintptr_t end = reinterpret_cast<uintptr_t>(&frame) + above;
    if (end != thread_user_stack_top())
        fail("the end of the frame", thread_user_stack_top(), end);
    if (!user::is_from_user(frame))
        fail("CS of user mode", KERNEL_USER_CODE_SELECTOR, frame.cs);
    expect_direction_flag_clear();
}

namespace {

task* guarded;

} // namespace

namespace {
cpu decoy;
}

void give_decoy(task& which) {
    __builtin_memcpy(&decoy, &this_cpu(), sizeof(decoy));
    decoy.self = &decoy;
#ifdef __x86_64__
    which.gs_base = reinterpret_cast<uintptr_t>(&decoy);
#else
    // No selector of the user's has a base of its own: the image lies at its 0.
    static_assert(sizeof(decoy) <= page_size || sizeof(decoy) % page_size == 0);
    constexpr size_t piece = sizeof(decoy) < page_size ? sizeof(decoy) : page_size;
    for (uintptr_t page = 0; page < sizeof(decoy); page += page_size) {
        if (user_memory(*space, page, true) == nullptr)
            map_user(*space, page, allocate_page(), true, false);
        __builtin_memcpy(in_user_memory(page), reinterpret_cast<const uint8_t*>(&decoy) + page,
                         piece);
    }
    which.frame.gs = decoy_selector;
#endif
}

#ifdef __x86_64__

bool expect_own_gs(const char* what) {
    const auto own = reinterpret_cast<uintptr_t>(&cpu_at(0));
    const uintptr_t found = x86::read_msr(X86_MSR_GS_BASE);
    if (found == own)
        return true;
    x86::write_msr(X86_MSR_GS_BASE, own);
    fail(what, own, found);
    return false;
}

#else

/// CPU 0 is the one under test. The decoy stays: what is in progress has counted itself there, and
/// the return puts the task's GS back.
bool expect_own_gs(const char* what) {
    const kernel_segments found = read_segments();
    if (found.gs == KERNEL_PER_CPU_SELECTOR)
        return true;
    if (found.gs != decoy_selector)
        load_kernel_gs();
    fail(what, KERNEL_PER_CPU_SELECTOR, found.gs);
    return false;
}

#endif

bool run_task_guarded(task& which) {
    guarded = &which;
    const bool completed = run_guarded([] { run_task(*guarded); });
    if (!completed)
        forget_task();
    return completed;
}

void abandon_task() {
    static_cast<void>(expect_own_gs("GS when a task is abandoned"));
#ifdef __i386__
    load_kernel_gs();
#endif
    abandon();
}

void expect_fault(const task& ended, uintptr_t vector, uintptr_t error, uintptr_t ip) {
    if (ended.end != task_end::faulted || ended.vector != vector || ended.error != error)
        fail("how the task ended: vector and error code", vector << 16 | error,
             ended.vector << 16 | ended.error);
    if (ended.frame.trap.ip != ip)
        fail("where the task ended", ip, ended.frame.trap.ip);
}

void expect_end(const task& begun, const task& ended, user_instructions code, uint32_t changed) {
    if (ended.end != task_end::faulted || ended.vector != X86_VECTOR_UD)
        fail("the vector that ended the task", X86_VECTOR_UD, ended.vector);
    const x86::trap_frame& before = begun.frame.trap;
    const x86::trap_frame& after = ended.frame.trap;
    if (after.ip != before.ip + code.size)
        fail("where the task ended", before.ip + code.size, after.ip);
    for (uintptr_t i = 0; i < register_count; ++i) {
        const uintptr_t expected = reinterpret_cast<const uintptr_t*>(&before)[i];
        const uintptr_t found = reinterpret_cast<const uintptr_t*>(&after)[i];
        if ((changed >> i & 1) == 0 && expected != found)
            fail("a register of the task", expected, found);
    }
    user::user_frame first = begun.frame;
    user::user_frame last = ended.frame;
    constexpr uintptr_t compared = ~uintptr_t{X86_FLAGS_RF}; // a fault sets it, on some emulators
    if (((before.flags ^ after.flags) & compared) != 0)
        fail("the task's flags", before.flags, after.flags);
    if (first.sp() != last.sp())
        fail("the task's stack pointer", first.sp(), last.sp());
    if (before.cs != after.cs || first.ss() != last.ss())
        fail("the task's CS and SS", before.cs << 16 | first.ss(), after.cs << 16 | last.ss());
#ifdef __i386__
    if (first.ds != last.ds || first.es != last.es)
        fail("the task's DS and ES", first.ds << 16 | first.es, last.ds << 16 | last.es);
    if (first.fs != last.fs || first.gs != last.gs)
        fail("the task's FS and GS", first.fs << 16 | first.gs, last.fs << 16 | last.gs);
#else
    if (x86::read_msr(X86_MSR_KERNEL_GS_BASE) != begun.gs_base)
        fail("the task's GS base at its end", begun.gs_base, x86::read_msr(X86_MSR_KERNEL_GS_BASE));
    if (x86::read_msr(X86_MSR_FS_BASE) != begun.fs_base)
        fail("the task's FS base at its end", begun.fs_base, x86::read_msr(X86_MSR_FS_BASE));
#endif
}

} // namespace kernel
