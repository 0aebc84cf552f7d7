// SPDX-License-Identifier: MIT
#include "kernel/core/modules.hpp"

#include "kernel/core/lazy_areas.hpp"
#include "kernel/core/module_text.hpp"
#include "kernel/core/panic.hpp"
#include "kernel/core/spinlock.hpp"
#include "kernel/core/thread.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/marker.hpp"
#include "nmisafe/module_loader/exports.hpp"

namespace kernel {

namespace internal {
uint32_t live_modules;
}

namespace {

using namespace nmisafe;
using module_loader::load_error;
using module_loader::loaded_module;

constexpr unsigned most_modules = 8;

// What breakpoint handlers are told is text. Of an unused entry `end` is 0, and `begin` is the
// highest address: whatever mix of an entry's words a reader has while it comes or goes, there is
// no address in it but the module's.
struct code_range {
    uintptr_t begin;
    uintptr_t end;
    uintptr_t no_probe_begin;
    uintptr_t no_probe_end;
};
constinit code_range ranges[most_modules] = {};
spinlock ranges_lock;

[[gnu::always_inline]] inline uintptr_t read(const uintptr_t& word) {
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}
void write(uintptr_t& word, uintptr_t value) {
    __atomic_store_n(&word, value, __ATOMIC_RELEASE);
}

constexpr uintptr_t nowhere = ~uintptr_t{0};

code_range* find_range(uintptr_t begin) {
    for (code_range& one : ranges)
        if (one.end != 0 && one.begin == begin)
            return &one;
    return nullptr;
}

code_range* find_unused() {
    for (code_range& one : ranges)
        if (one.end == 0)
            return &one;
    return nullptr;
}

bool add_code(const loaded_module& which) {
    const locked hold(ranges_lock);
    code_range* const range = find_unused();
    if (range == nullptr)
        return false;
    const auto no_probe = which.find_section("nmisafe_trap_text");
    write(range->no_probe_begin, no_probe.begin != 0 ? no_probe.begin : nowhere);
    write(range->no_probe_end, no_probe.end);
    write(range->begin, which.code().begin);
    write(range->end, which.code().end);
    __atomic_fetch_add(&internal::live_modules, 1, __ATOMIC_SEQ_CST);
    return true;
}

void remove_code(const loaded_module& which) {
    code_range* const range = find_range(which.code().begin);
    write(range->begin, nowhere);
    write(range->end, 0);
    write(range->no_probe_begin, nowhere);
    write(range->no_probe_end, 0);
    __atomic_fetch_sub(&internal::live_modules, 1, __ATOMIC_SEQ_CST);
}

kernel_module& module_of(loaded_module& which) {
    static_assert(offsetof(kernel_module, loaded) == 0);
    return reinterpret_cast<kernel_module&>(which);
}

/// Repeats what was refused because somebody else is at work, on another CPU or in a thread that
/// was preempted. @return whether it was done.
template <typename Step>
bool insist(Step step) {
    for (;;) {
        const auto done = step();
        if (done)
            return true;
        if (done.error() != decltype(done.error())::busy)
            return false;
        yield();
    }
}

/// Probes on code, or with a slot in it.
size_t count_probes(uintptr_t begin, uintptr_t end) {
    size_t probes = 0;
    const bool counted = insist([&] {
        const auto found = kprobe::probes_in(begin, end);
        probes = found.value_or(0);
        return found;
    });
    return counted ? probes : 1;
}

/// From here on no probe can be put on the module's code. @return whether none is there.
bool close_to_probes(const loaded_module& which) {
    const auto code = which.code();
    code_range& range = *find_range(code.begin);
    write(range.no_probe_begin, code.begin);
    write(range.no_probe_end, code.end);
    return count_probes(code.begin, code.end) == 0;
}

template <typename Entry>
void set_table(const loaded_module& which, const char* section, const Entry*& begin,
               const Entry*& end) {
    const auto range = which.find_section(section);
    begin = reinterpret_cast<const Entry*>(range.begin);
    end = reinterpret_cast<const Entry*>(range.end);
}

extern "C" const char kernel_image_begin[], kernel_image_end[];

bool join(void*, loaded_module& which) {
    kernel_module& module = module_of(which);
    if (!add_code(which))
        return false;
    module.sites = {};
    set_table(which, "nmisafe_immediate_sites", module.sites.begin, module.sites.end);
    module.sites.code = which.code();
    module.sites.data = which.data();
    module.sites.shared = {reinterpret_cast<uintptr_t>(kernel_image_begin),
                           reinterpret_cast<uintptr_t>(kernel_image_end)};
    if (!insist([&] { return immediate::join(module.sites); })) {
        remove_code(which);
        return false;
    }
    module.markers = {};
    set_table(which, "nmisafe_markers", module.markers.begin, module.markers.end);
    module.markers.data = which.data();
    module.markers.constants = which.read_only();
    if (!insist([&] { return marker::join(module.markers); })) {
        insist([&] { return immediate::leave(module.sites); });
        remove_code(which);
        return false;
    }
    return true;
}

/// unload_module() has seen no probe. Who puts one on while the module is on its way out, or on one
/// whose init then fails, is too quick: the code cannot go, and there is nobody to tell.
void leave(void*, loaded_module& which) {
    kernel_module& module = module_of(which);
    if (!close_to_probes(which))
        panic("a probe is on a module that leaves", nullptr, which.code().begin);
    if (!insist([&] { return marker::leave(module.markers); }) ||
        !insist([&] { return immediate::leave(module.sites); }))
        panic("a module cannot leave", nullptr, which.code().begin);
    remove_code(which);
}

/// The markers' grace period: then nobody is in the module's probes, all of which its exit has
/// unregistered, or looks at its markers.
void wait_until_unused(void*, loaded_module&) {
    if (!marker::synchronise())
        panic("a module cannot be waited for", nullptr, 0);
}

uintptr_t find_symbol(void*, const char* name) {
    return module_loader::program_exports().find(name);
}

constexpr module_loader::host host{
    .find_symbol = find_symbol,
    .join = join,
    .leave = leave,
    .wait_until_unused = wait_until_unused,
    .memory = &module_loader::vmalloc_memory,
};
constexpr module_loader::areas module_areas{&module_code_area, &module_constants_area,
                                            &module_data_area};

} // namespace

base::expected<size_t, load_error> load_module(kernel_module& into, const void* image,
                                               size_t size) {
    return module_loader::load(into.loaded, image, size, module_areas, host);
}

base::expected<size_t, load_error> start_module(kernel_module& which) {
    return module_loader::start(which.loaded);
}

/// The code is closed to probes only after exit, in leave(): what must not be probed must not be
/// patched either, and exit turns markers off that may have sites in it.
base::expected<size_t, load_error> unload_module(kernel_module& which) {
    const auto code = which.loaded.code();
    if (which.loaded.state() == module_loader::module_state::live &&
        count_probes(code.begin, code.end) != 0)
        return base::unexpected(load_error::busy);
    return module_loader::unload(which.loaded);
}

[[gnu::section("nmisafe_trap_text")]] bool internal::is_module_text(uintptr_t begin,
                                                                    uintptr_t end) {
    for (const code_range& one : ranges)
        if (end <= read(one.end) && begin >= read(one.begin) && begin <= end)
            return true;
    return false;
}

[[gnu::section("nmisafe_trap_text")]] bool internal::is_module_no_probe(uintptr_t begin,
                                                                        uintptr_t end) {
    for (const code_range& one : ranges)
        if (begin < read(one.no_probe_end) && end > read(one.no_probe_begin))
            return true;
    return false;
}

} // namespace kernel
