// SPDX-License-Identifier: MIT
#define NMISAFE_USER_CPU 0
#define NMISAFE_USER_DATA_SELECTOR 0x23
#ifdef __x86_64__
#define NMISAFE_USER_CODE_SELECTOR 0x2b
#else
#define NMISAFE_USER_CODE_SELECTOR 0x1b
#endif

#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/local.hpp"

using namespace nmisafe;

void on_system_call(x86::trap_frame& frame);
void before_each_return(x86::trap_frame& frame);
void on_refused(x86::trap_frame& frame, user::refusal why);

struct {
    user::cpu_words user;
} cpu;

#ifdef __x86_64__
x86::gate_64 idt[X86_VECTORS];

void boot(uint8_t vector, uint16_t code_selector, uint8_t stack, x86::gate_type type,
          trap::nmi_block& block, user::ist_top& top_of_ist, uintptr_t gs_base) {
    idt[vector] = x86::make_gate_64(user::entry_address(vector), code_selector, stack, type);
    user::set_syscall_handler(on_system_call);
    user::set_return_work(before_each_return);
    user::set_refused_return(on_refused);
    x86::load_local_table(0);
    user::set_up_syscalls(code_selector);
    user::set_up_nmi(block);
    top_of_ist = {.gs_base = gs_base, .has_fsgsbase = 0};
}

void switch_threads(trap::nmi_block& block, uintptr_t end) {
    cpu.user.stack_top = block.tss.rsp[0] = end;
}
#endif

void first_time(uintptr_t end) {
    auto& frame = *reinterpret_cast<user::user_frame*>(end - sizeof(user::user_frame));
    frame = {};
    user::enter(frame);
}
