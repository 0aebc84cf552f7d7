// SPDX-License-Identifier: MIT
// module-probed: CPU 1 puts a probe on a module's code and takes it off, whenever an interrupt
// wakes it, while CPU 0 loads and unloads it.
//
//   init         of a module whose init fails: while that runs, no probe can be put on it, for the
//                module will go without being asked
//   come-and-go  `reloads=` times a module that stays while a probe stands on it, and then goes
//   on-marker    what a module has put elsewhere, and cannot or does not take back: see
//   forgotten    module_outlived.cpp
//
// As a control, without=close closes no code to probes, nor rids it of them. Then init finds one on
// itself, after that the code of a live module goes with the probe on it, and at last the probe
// does.
#include "kernel/common/controls.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/modules/module_outlived.hpp"
#include "kernel/experiments/modules/module_remains.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/modules/loaded/nmi_probe.hpp"
#include "kernel/modules/modules.hpp"
#include "kernel/smp/code.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "kernel/threads/insist.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/vectors.h"

namespace kernel {
namespace {

using namespace nmisafe;
using kprobe::probe_error;
using module_loader::load_error;

constexpr uint32_t default_reloads = 200;
constexpr uint32_t failing_inits = 20;

constinit kernel_module module{};
constinit kprobe::probe probe{};

// CPU 0 to CPU 1.
shared_word<uintptr_t> target; // where to put the probe; 0: nowhere yet
shared_flag hold;              // leave it there
shared_flag code_stays;        // take the probe off, whatever the control lacks
shared_flag stop;

// CPU 1 to CPU 0.
shared_flag standing; // the probe, from after insert() until before remove()
shared_count insertions;
shared_count refusals; // of code, by insert()
shared_count removals;

/// Whether the probe is on.
bool insert() {
    probe = {};
    probe.address = probe.function = target;
    probe.slot = reinterpret_cast<uintptr_t>(probe_slots);
    const auto done = insist([] { return kprobe::insert(probe); });
    if (!done && done.error() != probe_error::not_text)
        fail("why a probe was refused", static_cast<uintptr_t>(probe_error::not_text),
             static_cast<uintptr_t>(done.error()));
    return done.has_value();
}

/// What executes the instruction does so when the module comes or goes, so nobody is in the slot.
void remove() {
    if (!insist([] { return kprobe::remove(probe); }) ||
        !insist([] { return kprobe::release(probe); }))
        fail("a probe could be taken off", 1, 0);
}

/// False: the probe is left where it is, in a control, where the code may have gone.
bool put_on_and_take_off(uint32_t pause) {
    if (target == 0)
        return true;
    if (!insert()) {
        ++refusals;
        return true;
    }
    ++insertions;
    standing = true;
    for (uint32_t i = 0; i < pause; ++i)
        wait_a_little();
    while (hold)
        wait_a_little();
    standing = false;
    if (is_removed(defence::close) && !code_stays)
        return false;
    remove();
    ++removals;
    return true;
}

/// Between two tries it sleeps: the steps of CPU 0 wake it, each of them.
void probe_on_and_on(void*) {
    start_tick();
    for (uint32_t turn = 0; !stop; ++turn) {
        const uint32_t latest = synchronisations_here();
        if (!put_on_and_take_off(turn % 64))
            break;
        sleep_unless_synchronised(latest);
    }
    stop_tick();
}

/// Starts a module from now on under CPU 1's eyes. @return the error, or none.
load_error start(text name) {
    const boot_module object = find_boot_module(name);
    const auto loaded = load_module(module, object.bytes, object.size);
    if (!loaded)
        return loaded.error();
    target = module.loaded.find_section(".text").begin;
    const auto started = start_module(module);
    return started ? load_error{} : started.error();
}

void expect_error(const char* what, load_error expected, load_error found) {
    if (found != expected)
        fail(what, static_cast<uintptr_t>(expected), static_cast<uintptr_t>(found));
}

load_error try_to_unload() {
    const auto gone = unload_module(module);
    return gone ? load_error{} : gone.error();
}

/// Until no probe stands on it. @return how often one did.
uint32_t unload() {
    uint32_t times = 0;
    load_error why = try_to_unload();
    for (; why == load_error::in_use; why = try_to_unload())
        ++times;
    expect_error("a module that nobody probes is unloaded", load_error{}, why);
    return times;
}

/// With the probe on it for certain. False: it does not get there.
bool unload_held() {
    if (!wait_for([] { return standing; })) {
        fail("a probe on a live module", 1, 0);
        return false;
    }
    expect_error("unloading a module with a probe on it", load_error::in_use, try_to_unload());
    hold = false;
    return !is_removed(defence::close);
}

// --- init ---------------------------------------------------------------------------------------

uint32_t inserted; // before the module came

/// The module's code is text, and CPU 1 knows where. Two refusals: the first may be of a try that
/// began before.
void look_in_init() {
    const uint32_t refused = refusals;
    const auto goes_on = [=] { return refusals >= refused + 2 || insertions != inserted; };
    if (!wait_for([=] {
            synchronise_cpus(); // wakes CPU 1
            return goes_on();
        }))
        ++scene.count.lost;
    if (insertions == inserted)
        return;
    fail("a probe on a module whose init has not succeeded", 0, insertions - inserted);
    target = 0; // no other try: this module is about to go
    code_stays = true;
    hold = false;
    if (!wait_for([] { return removals == insertions; }))
        ++scene.count.lost;
    code_stays = false;
}

void raise_and_settle() {
    raise_nmi_here();
    settle();
}

void init() {
    refusing_init_hook = look_in_init;
    for (uint32_t i = 0; i < failing_inits; ++i) {
        hold = is_removed(defence::close); // so that the probe does not go too early
        inserted = insertions;
        expect_error("a module whose init fails", load_error::init_failed, start("refuses"));
        raise_and_settle();
        ++scene.count.boundaries;
        if (is_removed(defence::close))
            break;
    }
    refusing_init_hook = nullptr;
    print_row("init", false, {"refusals", refusals});
}

// --- come and go --------------------------------------------------------------------------------

void come_and_go(uint32_t reloads) {
    uint32_t met = 0;
    for (uint32_t i = 0; i < reloads; ++i) {
        const bool held = i % 4 == 0;
        hold = held;
        expect_error("a module starts", load_error{}, start("nmi_probe"));
        if (held && !unload_held())
            return;
        synchronise_cpus(); // wakes CPU 1: closing and probing meet
        met += unload();
        raise_and_settle(); // an NMI after all of it
        ++scene.count.boundaries;
    }
    print("insertions ", uint32_t{insertions}, ", refusals ", uint32_t{refusals},
          ", unloads that met a probe ", met, "\n");
}

} // namespace

void module_probed() {
    if (!is_removed(defence::close))
        try_to_outlive_modules();
    set_scene(nullptr);
    set_up_patching();
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    thread* const other = create_thread(1, probe_on_and_on, nullptr); // its stack stays
    const module_remains before = look_for_remains();
    init();
    scene.count = {};
    const uint32_t reloads = option_number("reloads", default_reloads);
    come_and_go(reloads);
    hold = false;
    stop = true;
    join(other);
    if (!is_removed(defence::close))
        expect_nothing_left(before);
    print_row("come-and-go", false, {"reloads", reloads});
    if (is_removed(defence::close))
        meet_what_is_left();
}

} // namespace kernel
