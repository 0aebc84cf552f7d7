// SPDX-License-Identifier: MIT
// refused-in-nmi: whatever waits for other CPUs says in_nmi when an NMI handler asks for it, and
// cannot_synchronise in the handlers of #DB, #MC, an interrupt and a probe; and has then done
// nothing: the thread that asks next gets it. On one CPU, where nothing else would say no: with
// more, interrupts are off in the handler, and are on where one may wait. Each of them may have
// interrupted what it would wait for: a probe's handler is one that remove() waits for.
//
// As a control, without=refuse lets this kernel say that one may wait there.
#include "kernel/common/controls.hpp"
#include "kernel/common/image.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/modules/modules.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/kprobe/closed_range.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/vectors.h"

/// A site for apply() itself, and one for the probe whose handler asks: NOPs of five bytes.
extern "C" const char refused_site[];
extern "C" void refused_probe_site();
asm(".pushsection .text\n"
    "    .type refused_site, @function\n"
    "refused_site:\n"
    "    .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
    "    ret\n"
    "    .size refused_site, . - refused_site\n"
    "    .type refused_probe_site, @function\n"
    "refused_probe_site:\n"
    "    .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
    "    ret\n"
    "    .size refused_probe_site, . - refused_probe_site\n"
    ".popsection\n");

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

enum class outcome : uint8_t { never, done, in_nmi, cannot_synchronise, other_error };

template <typename Expected>
outcome outcome_of(const Expected& result) {
    if (result)
        return outcome::done;
    using error = std::remove_cvref_t<decltype(result.error())>;
    if (result.error() == error::in_nmi)
        return outcome::in_nmi;
    return result.error() == error::cannot_synchronise ? outcome::cannot_synchronise
                                                       : outcome::other_error;
}

text_patch::patch site_patch{
    .address = 0,
    .function = 0,
    .stub_before = 0,
    .stub_after = 0,
    .size = 5,
    .expected_size = 0,
    .before = {0x0f, 0x1f, 0x44, 0x00, 0x00},
    .after = {0xe9, 0x00, 0x00, 0x00, 0x00},
    .internal = {},
};

[[gnu::noinline]] void hit_marker() {
    trace_mark(kernel, refused_in_nmi, MARK_NOARGS);
}
shared_count marker_hits;
constinit marker::probe marker_probe([](const marker::marker&, void*,
                                        const marker::arguments&) { ++marker_hits; },
                                     nullptr);

kprobe::probe code_probe{};
constinit kernel_module module{};
void* memory;
void* view;
uint64_t page;

/// Keeps an address, for the request that gives it back.
outcome keep(const base::expected<void*, vmalloc::vmalloc_error>& made, void*& where) {
    if (made)
        where = *made;
    return outcome_of(made);
}

/// There and back.
outcome patch_site() {
    const outcome result = outcome_of(text_patch::apply(&site_patch, 1));
    if (result == outcome::done)
        std::swap(site_patch.before, site_patch.after);
    return result;
}

/// In this order: each needs what those before have done.
constexpr struct {
    const char* name;
    outcome (*ask)();
} requests[] = {
    {"text_patch::apply()", patch_site},
    {"immediate::set()", [] { return outcome_of(immediate::set(patched_value, value_b)); }},
    {"marker::register_probe()",
     [] {
         return outcome_of(
             marker::register_probe("kernel", "refused_in_nmi", nullptr, marker_probe));
     }},
    {"marker::unregister_probe()",
     [] { return outcome_of(marker::unregister_probe(marker_probe)); }},
    {"marker::turn_off_idle()", [] { return outcome_of(marker::turn_off_idle()); }},
    {"marker::synchronise()", [] { return outcome_of(marker::synchronise()); }},
    {"kprobe::insert()", [] { return outcome_of(kprobe::insert(code_probe)); }},
    {"kprobe::remove()", [] { return outcome_of(kprobe::remove(code_probe)); }},
    {"kprobe::release()", [] { return outcome_of(kprobe::release(code_probe)); }},
    {"kprobe::evict()", [] { return outcome_of(kprobe::evict({})); }},
    {"vmalloc::vmalloc()",
     [] {
         return keep(vmalloc::vmalloc(vmalloc_area, page_size, vmalloc::permission::read_write),
                     memory);
     }},
    {"vmalloc::set_permission()",
     [] {
         return outcome_of(
             vmalloc::set_permission(vmalloc_area, memory, vmalloc::permission::read_only));
     }},
    {"vmalloc::vfree()", [] { return outcome_of(vmalloc::vfree(vmalloc_area, memory)); }},
    {"vmalloc::vmap()",
     [] {
         return keep(vmalloc::vmap(vmalloc_area, &page, 1, vmalloc::permission::read_write), view);
     }},
    {"vmalloc::vunmap()", [] { return outcome_of(vmalloc::vunmap(vmalloc_area, view)); }},
    {"module_loader::load()",
     [] {
         const boot_module object = find_boot_module("nmi_probe");
         return outcome_of(load_module(module, object.bytes, object.size));
     }},
    {"module_loader::start()", [] { return outcome_of(start_module(module)); }},
    {"module_loader::stop() and unload()", [] { return outcome_of(unload_module(module)); }},
};

outcome (*asked)();
outcome answer;

/// What a handler does. The NMI comes before it asks, in an NMI handler when it has asked.
void ask() {
    if (asked == nullptr)
        return;
    const auto request = std::exchange(asked, nullptr);
    raise_nmi_here();
    answer = request();
}

bool ask_in_exception(trap_frame&) {
    ask();
    return true;
}

bool ask_in_interrupt(trap_frame&) {
    context::irq_enter();
    ask();
    context::irq_exit();
    return true;
}

constinit kprobe::probe asking_probe{};
void ask_in_probe(kprobe::probe&, trap_frame&) {
    ask();
}

constexpr uint8_t spare_vector = 0xe0;

constexpr struct {
    const char* path;
    outcome refusal;
    void (*enter)(); ///< Runs a handler that asks.
} handlers[] = {
    {"nmi", outcome::in_nmi, raise_nmi_here},
    {"debug", outcome::cannot_synchronise, [] { raise_vector(X86_VECTOR_DB); }},
    {"machine-check", outcome::cannot_synchronise, [] { raise_vector(X86_VECTOR_MC); }},
    {"interrupt", outcome::cannot_synchronise, [] { raise_vector(spare_vector); }},
    {"probe", outcome::cannot_synchronise, refused_probe_site},
};

bool expect(const char* name, outcome wanted, outcome found) {
    if (found != wanted)
        fail(name, static_cast<uintptr_t>(wanted), static_cast<uintptr_t>(found));
    return found == wanted;
}

outcome answer_in(void (*enter)(), outcome (*request)()) {
    asked = request;
    answer = outcome::never;
    enter();
    settle();
    ++scene.count.boundaries;
    return answer;
}

void try_all(outcome refusal, void (*enter)()) {
    set_scene([](trap_frame&) { ask(); });
    set_up_patching();
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    for (const auto& [name, request] : requests)
        // Else what the next ones need may be half done.
        if (!expect(name, refusal, answer_in(enter, request)) ||
            !expect(name, outcome::done, request()))
            break;
    hit_marker();
    if (marker_hits != 0)
        fail("calls of a probe that was taken off", 0, marker_hits);
}

/// Its own handler is what remove() would wait for.
outcome remove_asking_probe() {
    return outcome_of(kprobe::remove(asking_probe));
}

void put_asking_probe_on() {
    asking_probe.address = asking_probe.function = reinterpret_cast<uintptr_t>(refused_probe_site);
    asking_probe.slot = reinterpret_cast<uintptr_t>(probe_slots) + kprobe::slot_size;
    asking_probe.pre = ask_in_probe;
    if (!kprobe::insert(asking_probe))
        fail("the asking probe could be inserted", 1, 0);
}

void take_asking_probe_off() {
    if (!is_removed(defence::refuse))
        expect("kprobe::remove() in the probe's handler", outcome::cannot_synchronise,
               answer_in(refused_probe_site, remove_asking_probe));
    if (!kprobe::remove(asking_probe) || !kprobe::release(asking_probe))
        fail("the asking probe could be removed", 1, 0);
}

} // namespace

void refused_in_nmi() {
    set_scene(nullptr);
    set_up_patching();
    trap::set_handler(X86_VECTOR_DB, ask_in_exception);
    trap::set_handler(X86_VECTOR_MC, ask_in_exception);
    trap::set_handler(spare_vector, ask_in_interrupt);
    site_patch.address = site_patch.function = text_address(refused_site);
    code_probe.address = code_probe.function = probed_instructions[0].address();
    code_probe.slot = reinterpret_cast<uintptr_t>(probe_slots);
    page = allocate_page();
    put_asking_probe_on();
    for (const auto& [path, refusal, enter] : handlers) {
        try_all(refusal, enter);
        if (enter == refused_probe_site)
            take_asking_probe_off();
        print_row(path);
    }
}

} // namespace kernel
