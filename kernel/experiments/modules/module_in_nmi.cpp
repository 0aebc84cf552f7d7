// SPDX-License-Identifier: MIT
// module-in-nmi: a marker in the NMI handler calls a probe that lives in a loaded module.
//
//   faults   in address spaces that have none of the module's mappings, under a stream of NMIs: the
//            module's data, code and constants take one page fault each, all of them in the NMI
//   reload   the module is unloaded and loaded again 1,000 times, while NMIs and threads keep
//            hitting the marker on all CPUs; afterwards nothing of it is left. As a control,
//            without=grace waits for nobody: then a thread comes back to code that is gone.
//   refused  a module that somebody uses, or whose code a probe stands on, stays; one whose init
//            fails goes, with all it has joined. Nobody writes a module's code or constants, or
//            executes its data, and no probe stands on what it keeps free of probes.
//
// Under the policy iret a fault's return lets the next NMI in.
#include "kernel/common/controls.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/try_read.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/events/contexts.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/modules/module_remains.hpp"
#include "kernel/experiments/shared/active_delay.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/vmalloc_observers.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/modules/loaded/nmi_probe.hpp"
#include "kernel/modules/module_text.hpp"
#include "kernel/modules/modules.hpp"
#include "kernel/smp/code.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using module_loader::load_error;
using x86::trap_frame;

constexpr uint32_t spaces = 8;
constexpr uint32_t default_reloads = 1000;

constinit kernel_module module{};

/// Loads an object of the boot image. Its error, or none.
load_error load(text name) {
    const boot_module object = find_boot_module(name);
    const auto loaded = load_module(module, object.bytes, object.size);
    return loaded ? load_error{} : loaded.error();
}

bool start(text name) {
    load_error why = load(name);
    if (why == load_error{})
        if (const auto started = start_module(module); !started)
            why = started.error();
    if (why != load_error{})
        fail("a module is loaded and started", 0, static_cast<uintptr_t>(why));
    return why == load_error{};
}

bool unload() {
    const auto gone = unload_module(module);
    if (!gone)
        fail("a module is unloaded", 0, static_cast<uintptr_t>(gone.error()));
    return gone.has_value();
}

/// Not inlined: it is one site for all contexts.
[[gnu::noinline]] void hit_marker() {
    trace_mark(kernel, nmi_calls_module, MARK_NOARGS);
}

// --- faults -------------------------------------------------------------------------------------

shared_count faults_in_code, faults_in_constants, faults_in_data, faults_in_nmi;

bool on_page_fault(trap_frame& frame, uintptr_t address) {
    ++scene.page_faults;
    if (context::in_nmi())
        ++faults_in_nmi;
    if (module_code_area.contains(address))
        ++faults_in_code;
    if (module_constants_area.contains(address))
        ++faults_in_constants;
    if (module_data_area.contains(address))
        ++faults_in_data;
    show_resume_flag(frame);
    if (is_removed(defence::grace))
        end_at_use_of_remains(frame, address, "reload");
    if (!resolve_lazy_fault(frame, address))
        return false;
    // Where it was is also a sample: readers show the source's file and line of those, the module's too.
    const traced_trap here(frame);
    trace_page_fault(frame, address, false);
    const uintptr_t ip = frame.ip;
    emit<tracer::events::sample>(ip, this_cpu().tracer->tid, tracer::chain{&ip, 1});
    return true;
}

void body(trap_frame&) {
    raise_second();
    hit_marker();
}

nmis_of_delay seen;

void in_new_space(void*) {
    const nmis_of_delay more = delay_under_nmis();
    seen.passes += more.passes;
    seen.sent += more.sent;
}

void expect_one_each(uint32_t so_far) {
    if (scene.count.nested != 0)
        return;
    for (const auto& [what, count] : {std::pair{"faults on code", &faults_in_code},
                                      std::pair{"faults on constants", &faults_in_constants},
                                      std::pair{"faults on data", &faults_in_data}})
        if (*count != so_far)
            fail(what, so_far, *count);
}

/// The values that the kernel set while the module was away, and sets while it is there.
void check_value(uint32_t expected) {
    raise_nmi_here();
    settle();
    if (nmi_probe_count.latest_value != expected)
        fail("the immediate value in the module", expected, nmi_probe_count.latest_value);
}

void set_value(uint32_t value) {
    if (!immediate::set(nmi_probe_value, value))
        fail("the immediate value could be set", value, nmi_probe_value.stored());
}

void expect_no_wrong() {
    if (nmi_probe_count.wrong != 0 || nmi_probe_count.wrong_values != 0)
        fail("what the module found", 0, nmi_probe_count.wrong + nmi_probe_count.wrong_values);
}

void set_up() {
    set_scene(body);
    set_up_patching();
    trap::set_page_fault_handler(on_page_fault);
    nmi_probe_count = {};
    faults_in_code = faults_in_constants = faults_in_data = faults_in_nmi = 0;
}

void faults() {
    set_up();
    set_value(2);
    if (!start("nmi_probe"))
        return;
    scene.page_faults = faults_in_code = faults_in_constants = faults_in_data = 0;
    for (uint32_t i = 0; i < spaces; ++i) {
        address_space* const space = create_address_space();
        join(create_thread(0, in_new_space, nullptr, space));
        expect_one_each(i + 1);
        if (scene.count.nested == 0)
            destroy_address_space(space);
    }
    scene.count.raised += scene.sender_tickets;
    if (faults_in_nmi != scene.page_faults)
        fail("page faults in NMI handlers", scene.page_faults, faults_in_nmi);
    if (scene.count.nested == 0) {
        if (nmi_probe_count.calls != scene.count.handled)
            fail("calls of the module's probe", scene.count.handled, nmi_probe_count.calls);
        if (nmi_probe_count.own_marks != nmi_probe_count.calls)
            fail("hits of the module's marker", nmi_probe_count.calls, nmi_probe_count.own_marks);
        check_value(2);
        set_value(3);
        check_value(3);
        expect_no_wrong();
        unload();
    }
    scene.count.boundaries = seen.passes;
    print_row("faults", false, {"page_faults", scene.page_faults});
}

// --- refused ------------------------------------------------------------------------------------

kprobe::probe code_probe;

base::expected<size_t, kprobe::probe_error> put_probe_on(uintptr_t address) {
    code_probe = {};
    code_probe.address = code_probe.function = address;
    code_probe.slot = reinterpret_cast<uintptr_t>(probe_slots);
    return kprobe::insert(code_probe);
}

void expect_in_use(const char* what) {
    const auto gone = unload_module(module);
    if (gone || gone.error() != load_error::in_use)
        fail(what, static_cast<uintptr_t>(load_error::in_use), 0);
}

void expect_written(uintptr_t address, bool expected, const char* what) {
    auto* const word = reinterpret_cast<uint32_t*>(address);
    uint32_t value = 0;
    if (!try_read(word, value) || try_write(word, value) != expected)
        fail(what, expected, !expected);
}

uint8_t* fetched;

bool on_refused_access(trap_frame& frame, uintptr_t address) {
    return on_observed_fault(frame, address) || give_up_fetch(frame, fetched);
}

void try_accesses() {
    constexpr uint8_t ret = 0xc3;
    trap::set_page_fault_handler(on_refused_access);
    expect_written(module.loaded.code().begin, false, "a module's code could be written");
    expect_written(module.loaded.read_only().begin, false, "a module's constants could be written");
    expect_written(module.loaded.data().begin, true, "a module's data could be written");
    fetched = reinterpret_cast<uint8_t*>(module.loaded.data().begin);
    const uint8_t kept = *fetched;
    *fetched = ret;
    if (try_execute(fetched) == has_no_execute())
        fail("a module's data could be executed", !has_no_execute(), has_no_execute());
    *fetched = kept;
    trap::set_page_fault_handler(on_page_fault);
}

void refused() {
    set_up();
    const module_remains before = look_for_remains();
    if (!start("nmi_probe"))
        return;
    try_accesses();
    if (!module.loaded.get())
        fail("a use could be taken", 1, 0);
    expect_in_use("unloading a module that is used");
    module.loaded.put();

    const auto no_probe = module.loaded.find_section("nmisafe_trap_text");
    const auto on_no_probe = put_probe_on(no_probe.begin);
    if (on_no_probe || on_no_probe.error() != kprobe::probe_error::no_probe)
        fail("a probe on no-probe code of a module was refused", 1, 0);
    // init, which is no handler's: its first instruction.
    if (!put_probe_on(module.loaded.find_section(".text").begin))
        fail("a probe on code of a module", 1, 0);
    expect_in_use("unloading a module with a probe on it");
    if (!kprobe::remove(code_probe))
        fail("the probe could be removed", 1, 0);
    expect_in_use("unloading a module with a thread that may be in a slot of its");
    if (!kprobe::release(code_probe))
        fail("the probe could be released", 1, 0);
    unload();
    expect_nothing_left(before);
    // Of what comes to stand there next it must not be said.
    if (internal::is_module_no_probe(no_probe.begin, no_probe.end))
        fail("code of a module that is gone is free of probes", 0, no_probe.begin);

    if (load("refuses") != load_error{})
        fail("a module could be loaded", 1, 0);
    const auto started = start_module(module);
    if (started || started.error() != load_error::init_failed)
        fail("a module whose init fails", static_cast<uintptr_t>(load_error::init_failed), 0);
    expect_nothing_left(before);
    raise_nmi_here(); // an NMI after all of it
    settle();
    scene.count.boundaries = 1;
    print_row("refused");
}

// --- reload -------------------------------------------------------------------------------------

/// NMIs that a CPU is sent by its neighbour, the next one as soon as the last has begun.
struct stream {
    shared_count sent;
    shared_count begun;
    shared_count nested;
    shared_flag in_handler;
};
constinit stream streams[most_cpus] = {};
shared_flag stop;

void on_nmi(trap_frame&) {
    stream& mine = streams[this_cpu().id];
    ++mine.begun;
    if (mine.in_handler)
        ++mine.nested;
    mine.in_handler = true;
    hit_marker();
    mine.in_handler = false;
}

void send_to_neighbour() {
    const uint32_t target = (this_cpu().id + 1) % cpu_count();
    stream& other = streams[target];
    if (other.begun != other.sent)
        return;
    ++other.sent;
    send_nmi(target);
}

/// Sleeps between two steps of the patcher, whose interrupts wake it.
void send_on(void*) {
    start_tick(); // a wake-up can be lost
    while (!stop) {
        const uint32_t latest = synchronisations_here();
        send_to_neighbour();
        hit_marker();
        sleep_unless_synchronised(latest);
    }
    stop_tick();
}

void wait_until_handled() {
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        stream& one = streams[id];
        if (!wait_for([&] { return one.begun == one.sent; }))
            ++scene.count.lost;
        scene.count.raised += one.sent;
        scene.count.handled += one.begun;
        scene.count.nested += one.nested;
    }
    gather_unsafe_irets();
}

void reload_on_and_on(uint32_t reloads) {
    uint32_t with_calls = 0;
    for (uint32_t i = 0; i < reloads; ++i) {
        set_value(1 + i % 3);
        const uint32_t calls = nmi_probe_count.calls;
        if (!start("nmi_probe"))
            return;
        send_to_neighbour();
        hit_marker();
        if (nmi_probe_count.calls == calls)
            fail("calls of the module's probe", calls + 1, calls);
        if (nmi_probe_count.latest_value != 1 + i % 3)
            fail("the immediate value in the module", 1 + i % 3, nmi_probe_count.latest_value);
        with_calls += nmi_probe_count.calls - calls > 1; // an NMI has called it too
        if (!unload())
            return;
        send_to_neighbour();
        ++scene.count.boundaries;
    }
    if (with_calls < reloads / 10)
        fail("reloads with calls from NMIs", reloads / 10, with_calls);
    print("reloads with calls from NMIs: ", with_calls, ", calls in all ", nmi_probe_count.calls,
          "\n");
}

void reload() {
    const uint32_t reloads = option_number("reloads", default_reloads);
    set_up();
    trap::set_nmi_handler(on_nmi);
    thread* threads[most_cpus] = {};
    for (uint32_t id = 1; id < cpu_count(); ++id)
        threads[id] = create_thread(id, send_on, nullptr, create_address_space());
    const module_remains before = look_for_remains();
    nmi_probe_count = {};
    // Nobody gets out of the module in time where nobody is waited for.
    nmi_probe_count.linger = is_removed(defence::grace) ? 3'000'000 : 1000;
    reload_on_and_on(reloads);
    stop = true;
    for (uint32_t id = 1; id < cpu_count(); ++id)
        join(threads[id]);
    wait_until_handled();
    expect_no_wrong();
    expect_nothing_left(before);
    if (nmi_probe_count.started != reloads || nmi_probe_count.stopped != reloads)
        fail("inits and exits", reloads, nmi_probe_count.started);
    print_row("reload", false, {"reloads", reloads});
}

} // namespace

void module_in_nmi() {
    if (is_removed(defence::grace))
        return reload(); // the other paths do without
    faults();
    if (scene.count.nested != 0)
        return; // a control: what was run over is not to be trusted any more
    refused();
    reload();
}

} // namespace kernel
