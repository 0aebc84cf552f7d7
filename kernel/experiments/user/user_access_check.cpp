// SPDX-License-Identifier: MIT
// user-access-check: with SMAP the kernel may not touch a task's memory unless it says so by AC. AC
// is clear in the kernel, whatever the task has set: at a page fault, a step, an NMI, INT 0x80, and
// SYSCALL or SYSENTER.
#ifdef NMISAFE_USER_CLAC
#include "kernel/common/controls.hpp"
#include "kernel/common/image.hpp"
#include "kernel/cpu/try_read.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/user/user_scene.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

constexpr uintptr_t nothing = 100; // a system call that does nothing
uint32_t handled;

constexpr uintptr_t cr4_smap = uintptr_t{1} << 21;

bool has_smap() {
    constexpr uint32_t features = 7; // EBX bit 20 [intel/vol2 CPUID]
    uint32_t a = features, b, c = 0, d;
    asm("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (b >> 20 & 1) != 0;
}

/// The control: a NOP for each CLAC.
void remove_clac() {
    constexpr uint8_t clac[] = {0x0f, 0x01, 0xca}, nop[] = {0x0f, 0x1f, 0x00};
    const uintptr_t begin = text_address(__start_nmisafe_trap_text) - uintptr_t{KERNEL_IMAGE_BASE};
    auto* const bytes = static_cast<uint8_t*>(physical_to_virtual(begin));
    const auto size = static_cast<uintptr_t>(__stop_nmisafe_trap_text - __start_nmisafe_trap_text);
    uint32_t removed = 0;
    for (uintptr_t at = 0; at + sizeof(clac) <= size; ++at)
        if (__builtin_memcmp(bytes + at, clac, sizeof(clac)) == 0) {
            __builtin_memcpy(bytes + at, nop, sizeof(nop));
            ++removed;
        }
    if (removed == 0)
        fail("CLAC instructions", 1, removed);
}

/// In an event of a task with AC set.
void expect_access_check() {
    if ((x86::read_flags() & X86_FLAGS_AC) != 0)
        fail("AC in the kernel", 0, X86_FLAGS_AC);
    uint32_t word;
    if (try_read(reinterpret_cast<const void*>(user_data), word))
        fail("the kernel has read the task's memory", 0, 1);
    ++handled;
}

bool give_up_or_map(trap_frame& frame, uintptr_t address) {
    if (user::is_from_user(frame) && address == user_lazy) {
        expect_access_check();
        map_lazy_user_page();
        return true;
    }
    return handle_user_page_fault(frame, address) || give_up_access(frame) ||
           handle_scene_page_fault(frame, address);
}

} // namespace

void user_access_check() {
    x86::disable_interrupts();
    set_user_scene([](trap_frame&) { expect_access_check(); });
    if (!has_smap()) {
        fail("SMAP", 1, 0);
        print_row(nullptr);
        return;
    }
    if (is_removed(defence::clac))
        remove_clac();
    x86::write_cr4(x86::read_cr4() | cr4_smap);
    trap::set_page_fault_handler(give_up_or_map);
    trap::set_handler(X86_VECTOR_DB, [](trap_frame& frame) {
        frame.flags &= ~uintptr_t{X86_FLAGS_TF};
        expect_access_check();
        return true;
    });
    static constexpr uint8_t page_fault_code[] = {0xc6, 0x03, 0x01}; // movb $1, (%rbx)
    static constexpr uint8_t step_code[] = {0x90};
    // mov %esi, (%rdi): the local APIC's command; a jump, behind which QEMU looks for NMIs
    static constexpr uint8_t nmi_code[] = {0x89, 0x37, 0xeb, 0x00, 0x90};
    static constexpr uint8_t call_code[] = {0xcd, 0x80};
#ifdef __x86_64__
    static constexpr uint8_t fast_code[] = {0x0f, 0x05}; // SYSCALL
    constexpr uint32_t fast_changes = USER_REGISTER(cx) | USER_REGISTER(r11);
#else
    static constexpr uint8_t fast_code[] = {
        0x0f, 0x34}; // SYSENTER, which comes back to what EDX and ECX say
    constexpr uint32_t fast_changes = 0;
#endif
    struct {
        user_instructions code;
        uintptr_t flags;
        uint32_t changed;
    } constexpr ways[] = {{instructions(page_fault_code), 0, 0},
                          {instructions(step_code), X86_FLAGS_TF, 0},
                          {instructions(nmi_code), 0, 0},
                          {instructions(call_code), 0, 0},
                          {instructions(fast_code), 0, fast_changes}};
    for (const auto& way : ways) {
        task begun = make_task(way.code);
        begun.frame.trap.flags |= X86_FLAGS_AC;
        begun.frame.trap.ax = nothing;
        begun.frame.trap.bx = user_lazy;
        if (way.code.bytes == nmi_code) {
            local_apic::command_high() = local_apic::id() & 0xff000000;
            begun.frame.trap.di = user_apic + 0x300;
            begun.frame.trap.si = local_apic::deliver_nmi | local_apic::level_assert;
            ++scene.count.raised;
        }
#ifdef __i386__
        if (way.code.bytes == fast_code) {
            begun.frame.trap.dx = user_code + sizeof(fast_code);
            begun.frame.trap.cx = begun.frame.sp();
        }
#endif
        begun.on_system_call = [](task&, trap_frame&) { expect_access_check(); };
        task which = begun;
        which.frame.trap.flags |= way.flags;
        handled = 0;
        run_task(which);
        expect_end(begun, which, way.code, way.changed);
        if (handled != 1)
            fail("events of the task", 1, handled);
        ++scene.count.boundaries;
    }
    x86::write_cr4(x86::read_cr4() & ~cr4_smap);
    print_row(nullptr);
}

} // namespace kernel
#endif // NMISAFE_USER_CLAC
