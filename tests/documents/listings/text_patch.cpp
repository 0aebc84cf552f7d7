// SPDX-License-Identifier: MIT
#include "nmisafe/text_patch/text_patch.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/text_patch/breakpoint.hpp"

using namespace nmisafe;

extern "C" void* memcpy(void* to, const void* from, size_t size);
constexpr size_t sites = 2;
extern const uint8_t nop[5], jump[5];
bool others(x86::trap_frame& frame);

void thread(uintptr_t site) {
    text_patch::patch batch[sites] = {};
    batch[0].address = site;
    batch[0].size = 5;
    memcpy(batch[0].before, nop, 5);
    memcpy(batch[0].after, jump, 5);
    const auto changed = text_patch::apply(batch, sites);
}

[[NMISAFE_TRAP_TEXT]] bool on_breakpoint(x86::trap_frame& frame) {
    return text_patch::handle_breakpoint(frame) || others(frame);
}
