// SPDX-License-Identifier: MIT
#include "kernel/core/modules.hpp"

#include "kernel/core/lazy_areas.hpp"
#include "kernel/core/module_text.hpp"
#include "kernel/core/panic.hpp"
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

// What breakpoint handlers are told is text. Of an unused entry both ends are 0. `end` is written
// last when an entry comes into use, and first when it goes: then no address is in it.
struct code_range {
    uintptr_t begin;
    uintptr_t end;
    uintptr_t no_probe_begin;
    uintptr_t no_probe_end;
};
code_range ranges[most_modules];

[[gnu::always_inline]] inline uintptr_t read(const uintptr_t& word) {
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}
void write(uintptr_t& word, uintptr_t value) {
    __atomic_store_n(&word, value, __ATOMIC_RELEASE);
}

code_range* find_range(uintptr_t begin) {
    for (code_range& one : ranges)
        if (one.begin == begin)
            return &one;
    return nullptr;
}

bool add_code(const loaded_module& which) {
    code_range* const range = find_range(0);
    if (range == nullptr)
        return false;
    const auto no_probe = which.find_section("nmisafe_trap_text");
    write(range->no_probe_begin, no_probe.begin);
    write(range->no_probe_end, no_probe.end);
    write(range->begin, which.code().begin);
    write(range->end, which.code().end);
    __atomic_fetch_add(&internal::live_modules, 1, __ATOMIC_SEQ_CST);
    return true;
}

void remove_code(const loaded_module& which) {
    code_range* const range = find_range(which.code().begin);
    write(range->end, 0);
    write(range->begin, 0);
    write(range->no_probe_begin, 0);
    write(range->no_probe_end, 0);
    __atomic_fetch_sub(&internal::live_modules, 1, __ATOMIC_SEQ_CST);
}

kernel_module& module_of(loaded_module& which) {
    static_assert(offsetof(kernel_module, loaded) == 0);
    return reinterpret_cast<kernel_module&>(which);
}

base::address_range to_range(const module_loader::address_range& range) {
    return {range.begin, range.end};
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
    module.sites.code = to_range(which.code());
    module.sites.data = to_range(which.data());
    module.sites.shared = {reinterpret_cast<uintptr_t>(kernel_image_begin),
                           reinterpret_cast<uintptr_t>(kernel_image_end)};
    if (!immediate::join(module.sites)) {
        remove_code(which);
        return false;
    }
    module.markers = {};
    set_table(which, "nmisafe_markers", module.markers.begin, module.markers.end);
    module.markers.data = to_range(which.data());
    module.markers.constants = to_range(which.read_only());
    if (!marker::join(module.markers)) {
        static_cast<void>(immediate::leave(module.sites));
        remove_code(which);
        return false;
    }
    return true;
}

/// Who leaves has nothing that could refuse: unload_module() has looked.
void leave(void*, loaded_module& which) {
    kernel_module& module = module_of(which);
    if (!marker::leave(module.markers) || !immediate::leave(module.sites))
        panic("a module cannot leave", nullptr, which.code().begin);
    remove_code(which);
}

/// The markers' grace period: then nobody is in the module's probes, or looks at its markers.
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

/// No probe may be put on the code from here on: is_no_probe() accepts all of it. Then those that
/// stand there are counted.
base::expected<size_t, load_error> unload_module(kernel_module& which) {
    const auto code = which.loaded.code();
    code_range* const range = find_range(code.begin);
    const bool is_live = code.begin != 0 && range != nullptr;
    code_range before{};
    if (is_live) {
        before = *range;
        write(range->no_probe_begin, code.begin);
        write(range->no_probe_end, code.end);
        const auto probes = kprobe::probes_in(code.begin, code.end);
        if (!probes || *probes != 0) {
            write(range->no_probe_end, before.no_probe_end);
            write(range->no_probe_begin, before.no_probe_begin);
            return base::unexpected(load_error::busy);
        }
    }
    const auto gone = module_loader::unload(which.loaded);
    if (!gone && is_live && which.loaded.state() == module_loader::module_state::live) {
        write(range->no_probe_end, before.no_probe_end);
        write(range->no_probe_begin, before.no_probe_begin);
    }
    return gone;
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
