// SPDX-License-Identifier: MIT
// refused-in-nmi: whatever waits for other CPUs says in_nmi when an NMI handler asks for it, and
// has then done nothing: the thread that asks next gets it. On one CPU, where nothing else would
// say no: with more, interrupts are off in the handler, and are on where one may wait.
//
// As a control, without=refuse lets this kernel say that one may wait there.
#include "kernel/common/image.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/modules/modules.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

/// A site for apply() itself: a NOP of five bytes.
extern "C" const char refused_site[];
asm(".pushsection .text\n"
    "    .type refused_site, @function\n"
    "refused_site:\n"
    "    .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
    "    ret\n"
    "    .size refused_site, . - refused_site\n"
    ".popsection\n");

namespace kernel {
namespace {

using namespace nmisafe;
using x86::trap_frame;

enum class outcome : uint8_t { never, done, in_nmi, other_error };

template <typename Expected>
outcome outcome_of(const Expected& result) {
    if (result)
        return outcome::done;
    return result.error() == std::remove_cvref_t<decltype(result.error())>::in_nmi
               ? outcome::in_nmi
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

/// In this order: each needs what those before have done.
constexpr struct {
    const char* name;
    outcome (*ask)();
} requests[] = {
    {"text_patch::apply()", [] { return outcome_of(text_patch::apply(&site_patch, 1)); }},
    {"immediate::set()", [] { return outcome_of(immediate::set(patched_value, value_b)); }},
    {"marker::register_probe()",
     [] {
         return outcome_of(
             marker::register_probe("kernel", "refused_in_nmi", nullptr, marker_probe));
     }},
    {"marker::unregister_probe()",
     [] { return outcome_of(marker::unregister_probe(marker_probe)); }},
    {"marker::synchronise()", [] { return outcome_of(marker::synchronise()); }},
    {"kprobe::insert()", [] { return outcome_of(kprobe::insert(code_probe)); }},
    {"kprobe::remove()", [] { return outcome_of(kprobe::remove(code_probe)); }},
    {"kprobe::release()", [] { return outcome_of(kprobe::release(code_probe)); }},
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

/// The second NMI comes when the handler has asked.
void body(trap_frame&) {
    if (asked == nullptr)
        return;
    raise_nmi_here();
    answer = asked();
    asked = nullptr;
}

bool expect(const char* name, outcome wanted, outcome found) {
    if (found != wanted)
        fail(name, static_cast<uintptr_t>(wanted), static_cast<uintptr_t>(found));
    return found == wanted;
}

} // namespace

void refused_in_nmi() {
    set_scene(body);
    set_up_patching();
    site_patch.address = site_patch.function = text_address(refused_site);
    code_probe.address = code_probe.function = probed_instructions[0].address();
    code_probe.slot = reinterpret_cast<uintptr_t>(probe_slots);
    page = allocate_page();
    for (const auto& [name, ask] : requests) {
        asked = ask;
        answer = outcome::never;
        raise_nmi_here();
        settle();
        ++scene.count.boundaries;
        // Else what the next ones need may be half done.
        if (!expect(name, outcome::in_nmi, answer) || !expect(name, outcome::done, ask()))
            break;
    }
    hit_marker();
    if (marker_hits != 0)
        fail("calls of a probe that was taken off", 0, marker_hits);
    print_row(nullptr);
}

} // namespace kernel
