// SPDX-License-Identifier: MIT
#include "nmisafe/kprobe/kprobe.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/text_patch/breakpoint.hpp"

using namespace nmisafe;

extern "C" const char slot[];
asm(".pushsection .text; .balign 32; slot: .skip 32, 0xcc; .popsection");

void on_pre(kprobe::probe& which, x86::trap_frame& frame);
void on_post(kprobe::probe& which, x86::trap_frame& frame);

void thread(uintptr_t instruction, uintptr_t function) {
    kprobe::probe watch{};
    watch.address = instruction;
    watch.function = function;
    watch.slot = reinterpret_cast<uintptr_t>(slot);
    watch.pre = on_pre;
    watch.post = on_post;
    const auto inserted = kprobe::insert(watch);
    const auto removed = kprobe::remove(watch);
    const auto released = kprobe::release(watch);
}

[[NMISAFE_TRAP_TEXT]] bool on_breakpoint(x86::trap_frame& frame) {
    return text_patch::handle_breakpoint(frame) || kprobe::handle_breakpoint(frame);
}
