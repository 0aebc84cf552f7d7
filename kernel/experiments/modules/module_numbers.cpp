// SPDX-License-Identifier: MIT
#include "kernel/experiments/modules/module_numbers.hpp"

#include "kernel/experiments/modules/module_remains.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/modules/modules.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using module_loader::load_error;

constinit kernel_module modules[most_modules + 2] = {};

/// Loads and starts an object of the boot image. Its error, or none.
load_error start(kernel_module& into, text name) {
    const boot_module object = find_boot_module(name);
    if (const auto loaded = load_module(into, object.bytes, object.size); !loaded)
        return loaded.error();
    const auto started = start_module(into);
    return started ? load_error{} : started.error();
}

void expect(const char* what, load_error wanted, load_error found) {
    if (found != wanted)
        fail(what, static_cast<uintptr_t>(wanted), static_cast<uintptr_t>(found));
    ++scene.count.boundaries;
}

void unload(kernel_module& which) {
    const auto gone = unload_module(which);
    if (!gone)
        fail("a module could be unloaded", 0, static_cast<uintptr_t>(gone.error()));
    ++scene.count.boundaries;
}

/// An NMI, whose breakpoints ask what of the modules is text.
void raise_one() {
    raise_nmi_here();
    settle();
}

/// They lie nowhere, or not in code.
void without_code(const module_remains& before) {
    for (const text name : {text("nothing"), text("data_only")}) {
        for (unsigned i = 0; i < 2; ++i)
            expect("a module without code", load_error{}, start(modules[i], name));
        raise_one();
        for (unsigned i = 0; i < 2; ++i)
            unload(modules[i]);
        expect_nothing_left(before);
    }
}

/// Its init looks whether its constructors were called.
void with_constructors(const module_remains& before) {
    expect("a module with constructors", load_error{}, start(modules[0], "constructed"));
    unload(modules[0]);
    expect_nothing_left(before);
}

/// The one too many is refused whole; one without code needs no room, and those that are there
/// stay.
void one_more(const module_remains& before) {
    for (unsigned i = 0; i < most_modules; ++i)
        expect("as many modules as there is room for", load_error{}, start(modules[i], "tables"));
    kernel_module& too_many = modules[most_modules];
    kernel_module& without = modules[most_modules + 1];
    expect("one module more", load_error::join_refused, start(too_many, "tables"));
    expect("one without code", load_error{}, start(without, "data_only"));
    unload(modules[0]);
    expect("one in its place", load_error{}, start(too_many, "tables"));
    raise_one();
    for (unsigned i = 1; i < most_modules + 2; ++i)
        unload(modules[i]);
    expect_nothing_left(before);
}

} // namespace

void try_module_numbers() {
    set_scene([](x86::trap_frame&) {});
    set_up_patching();
    const module_remains before = look_for_remains();
    without_code(before);
    with_constructors(before);
    one_more(before);
    print_row("numbers");
}

} // namespace kernel
