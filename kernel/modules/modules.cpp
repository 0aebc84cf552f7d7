// SPDX-License-Identifier: MIT
#include "kernel/modules/modules.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/common/spinlock.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/modules/code_ranges.hpp"
#include "kernel/modules/module_text.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/threads/insist.hpp"
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/marker/marker.hpp"
#include "nmisafe/module_loader/exports.hpp"

namespace kernel {

namespace internal {
uint32_t live_modules;
}

namespace {

using namespace nmisafe;
using base::expected;
using base::unexpected;
using module_loader::load_error;
using module_loader::loaded_module;

constinit code_ranges<most_modules> ranges; // what breakpoint handlers are told is text
spinlock ranges_lock;

/// Of a module without code nothing is text; it takes no entry.
bool has_code(const loaded_module& which) {
    return which.code().begin != which.code().end;
}

bool add_code(const loaded_module& which) {
    if (!has_code(which))
        return true;
    const locked hold(ranges_lock);
    if (!ranges.add({which.code(), which.find_section("nmisafe_trap_text")}))
        return false;
    __atomic_fetch_add(&internal::live_modules, 1, __ATOMIC_SEQ_CST);
    return true;
}

void remove_code(const loaded_module& which) {
    if (!has_code(which))
        return;
    const locked hold(ranges_lock);
    ranges.remove(which.code().begin);
    __atomic_fetch_sub(&internal::live_modules, 1, __ATOMIC_SEQ_CST);
}

kernel_module& module_of(loaded_module& which) {
    static_assert(offsetof(kernel_module, loaded) == 0);
    return reinterpret_cast<kernel_module&>(which);
}

/// One at a time with a module: what it is closed to goes by its state.
class turn {
  public:
    explicit turn(kernel_module& which)
        : which_(which), mine_(__atomic_exchange_n(&which.at_work, 1, __ATOMIC_ACQUIRE) == 0) {}
    ~turn() {
        if (mine_)
            __atomic_store_n(&which_.at_work, 0, __ATOMIC_RELEASE);
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    explicit operator bool() const { return mine_; }

  private:
    kernel_module& which_;
    bool mine_;
};

/// From here on no probe can be put on the module's code, nor is one there; other patching goes on.
expected<size_t, kprobe::probe_error> close_to_probes(kernel_module& which) {
    if (is_removed(defence::close))
        return size_t{0};
    return insist([&] { return kprobe::close(which.closed); });
}

void open_to_probes(kernel_module& which) {
    if (!is_removed(defence::close) && !insist([&] { return kprobe::open(which.closed); }))
        panic("a module was not closed to probes", nullptr, which.loaded.code().begin);
}

/// Whether no kprobe needs the module's memory any more: none leads into it then.
bool evict_kprobes(const kernel_module& which) {
    if (is_removed(defence::close))
        return true;
    const auto needing = insist([&] { return kprobe::evict(which.closed); });
    return needing && *needing == 0;
}

load_error why_not_closed(kprobe::probe_error why) {
    if (why == kprobe::probe_error::in_nmi)
        return load_error::in_nmi;
    if (why == kprobe::probe_error::cannot_synchronise)
        return load_error::cannot_synchronise;
    return load_error::in_use; // occupied
}

template <typename Entry>
void set_table(const loaded_module& which, const char* section, const Entry*& begin,
               const Entry*& end) {
    const auto range = which.find_section(section);
    begin = reinterpret_cast<const Entry*>(range.begin);
    end = reinterpret_cast<const Entry*>(range.end);
}

extern "C" const char kernel_image_begin[], kernel_image_end[];

/// The code is opened when it is text no more: what comes to stand there next is not to be mistaken
/// for it.
void forget_code(kernel_module& module) {
    remove_code(module.loaded);
    open_to_probes(module);
}

void forget_sites(kernel_module& module) {
    if (!insist([&] { return immediate::leave(module.sites); }))
        panic("a module's sites cannot leave", nullptr, module.loaded.code().begin);
    forget_code(module);
}

/// The code is closed to probes until init has succeeded: one whose init fails has to go.
bool join(void*, loaded_module& which) {
    kernel_module& module = module_of(which);
    module.closed = {which.code(), which.data(), which.read_only(), nullptr};
    if (!close_to_probes(module))
        return false;
    if (!add_code(which)) {
        open_to_probes(module);
        return false;
    }
    module.sites = {};
    set_table(which, "nmisafe_immediate_sites", module.sites.begin, module.sites.end);
    module.sites.code = which.code();
    module.sites.data = which.data();
    module.sites.shared = {reinterpret_cast<uintptr_t>(kernel_image_begin),
                           reinterpret_cast<uintptr_t>(kernel_image_end)};
    if (!insist([&] { return immediate::join(module.sites); })) {
        forget_code(module);
        return false;
    }
    module.markers = {};
    set_table(which, "nmisafe_markers", module.markers.begin, module.markers.end);
    module.markers.data = which.data();
    module.markers.constants = which.read_only();
    module.markers.code = which.code();
    add_images(module.images, which);
    if (!insist([&] { return marker::join(module.markers); })) {
        images_are_gone(module.images);
        forget_sites(module);
        return false;
    }
    return true;
}

/// The code is closed to probes: unload_module() has closed it, or start_module() not opened it.
/// What exit has left behind, or an init that failed, is taken off: nobody asks the module any
/// more.
void leave(void*, loaded_module& which) {
    kernel_module& module = module_of(which);
    evict_kprobes(module);
    if (!insist([&] { return marker::leave(module.markers); }))
        panic("a module's markers cannot leave", nullptr, which.code().begin);
    forget_sites(module);
}

/// The markers' grace period: then nobody is in the module's probes, or looks at its markers.
/// Whether a thread is in the slot of a kprobe this kernel cannot tell: until somebody who can has
/// released the module's kprobes, it stays.
bool wait_until_unused(void*, loaded_module& which) {
    const bool without_kprobes = evict_kprobes(module_of(which));
    if (!marker::synchronise())
        panic("a module cannot be waited for", nullptr, 0);
    if (without_kprobes)
        images_are_gone(module_of(which).images);
    return without_kprobes;
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

expected<size_t, load_error> load_module(kernel_module& into, const void* image, size_t size) {
    const turn mine(into);
    if (!mine)
        return unexpected(load_error::busy);
    return module_loader::load(into.loaded, image, size, module_areas, host);
}

expected<size_t, load_error> start_module(kernel_module& which) {
    const turn mine(which);
    if (!mine)
        return unexpected(load_error::busy);
    const auto started = module_loader::start(which.loaded);
    if (started)
        open_to_probes(which);
    return started;
}

/// The code is closed first, and to probes only: exit still turns markers off that may have sites
/// in it.
expected<size_t, load_error> unload_module(kernel_module& which) {
    using module_loader::module_state;
    const turn mine(which);
    if (!mine)
        return unexpected(load_error::busy);
    if (which.loaded.state() != module_state::live)
        return module_loader::unload(which.loaded);
    if (const auto closed = close_to_probes(which); !closed)
        return unexpected(why_not_closed(closed.error()));
    const auto gone = module_loader::unload(which.loaded);
    if (which.loaded.state() == module_state::live)
        open_to_probes(which);
    return gone;
}

[[NMISAFE_TRAP_TEXT]] bool internal::is_module_text(uintptr_t begin, uintptr_t end) {
    return ranges.holds(begin, end);
}

[[NMISAFE_TRAP_TEXT]] bool internal::is_module_no_probe(uintptr_t begin, uintptr_t end) {
    return ranges.is_no_probe(begin, end);
}

} // namespace kernel
