// SPDX-License-Identifier: MIT
#include "kernel/experiments/shared/patched_sites.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/smp/code.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/text_patch/breakpoint.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/trap/breakpoint_dispatch.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

using namespace nmisafe;

constinit immediate::immediate<uint32_t, value_a> patched_value;
constinit immediate::immediate<bool> patched_branch;

shared_count hits_in_threads;
shared_count hits_in_interrupts;
shared_count hits_in_nmis;

namespace {

text_patch::patch workspace[64];

/// Without the emulation the site's instruction is skipped: of what it does only the jump remains.
/// The frame is copied word by word: for all of it a compiler would call memcpy(), where a
/// breakpoint may stand.
[[NMISAFE_TRAP_INLINE]] inline bool handle(x86::trap_frame& frame) {
    if (!is_removed(defence::emulate))
        return text_patch::handle_breakpoint(frame);
    constexpr size_t frame_words = sizeof frame / sizeof(uintptr_t);
    uintptr_t before[frame_words];
    auto* const words = reinterpret_cast<volatile uintptr_t*>(&frame);
    for (size_t i = 0; i < frame_words; ++i)
        before[i] = words[i];
    const bool handled = text_patch::handle_breakpoint(frame);
    const uintptr_t ip = frame.ip;
    for (size_t i = 0; i < frame_words; ++i)
        words[i] = before[i];
    frame.ip = ip;
    return handled;
}

[[NMISAFE_TRAP_INLINE]] inline void count_hit() {
    ++scene.breakpoints;
    ++(context::in_nmi() ? hits_in_nmis : context::in_irq() ? hits_in_interrupts : hits_in_threads);
}

[[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t dispatch_breakpoint(x86::trap_frame* frame) {
    if (is_removed(defence::emulate) || !text_patch::handle_in_batch(*frame))
        return trap::nmisafe_trap_dispatch(frame);
    count_hit();
    return trap::plan_breakpoint_return(*frame);
}

// The thread that patches, and stops in the middle.
thread* patcher;
uint32_t stop_at;
shared_flag stopped;
shared_flag go_on;
bool changed;

/// Called before each write and after each synchronisation.
void stop_in_the_middle() {
    const uint32_t hits = scene.breakpoints;
    const uint32_t found = execute_sites().value; // anything, where the control does not emulate
    if (stopped || scene.breakpoints == hits || (found != stop_at && !is_removed(defence::emulate)))
        return;
    stopped = true;
    while (!go_on)
        yield();
}

} // namespace

/// For the hits that the dispatch above does not take.
[[NMISAFE_TRAP_TEXT]] bool on_patched_site(x86::trap_frame& frame) {
    if (!handle(frame))
        return false;
    count_hit();
    return true;
}

void begin_stopped_patch(uint32_t at) {
    stop_at = at;
    stopped = false;
    go_on = false;
    patching_hook = stop_in_the_middle;
    x86::enable_interrupts();
    patcher = create_thread(
        0, [](void*) { changed = immediate::set(patched_value, value_b).has_value(); }, nullptr);
    while (!stopped)
        yield();
    x86::disable_interrupts();
}

bool end_stopped_patch() {
    go_on = true;
    x86::enable_interrupts();
    join(patcher);
    x86::disable_interrupts();
    patching_hook = nullptr;
    return changed;
}

[[gnu::noinline]] sites_seen execute_sites() {
    sites_seen seen{immediate::read<patched_value>(), false};
    if (immediate::branch<patched_branch>()) [[unlikely]]
        seen.branch = true;
    return seen;
}

bool is_sound(const sites_seen& seen) {
    return seen.value == value_a || seen.value == value_b;
}

void set_up_patching() {
    immediate::use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
    trap::set_handler(X86_VECTOR_BP, on_patched_site);
    trap::set_breakpoint_dispatch(dispatch_breakpoint);
    hits_in_threads = 0;
    hits_in_interrupts = 0;
    hits_in_nmis = 0;
}

} // namespace kernel
