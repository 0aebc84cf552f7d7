// SPDX-License-Identifier: MIT
// What modules may use of the kernel and of the library.
#include "nmisafe/module_loader/exports.hpp"
#include "kernel/modules/loaded/forgets.hpp"
#include "kernel/modules/loaded/nmi_probe.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/marker.hpp"

namespace kernel {

constinit forgotten_work forgotten{};
constinit nmi_probe_counts nmi_probe_count{};
void (*refusing_init_hook)();
constinit nmisafe::immediate::immediate<uint32_t, 1> nmi_probe_value;

} // namespace kernel

using registered =
    nmisafe::base::expected<const nmisafe::marker::marker*, nmisafe::marker::marker_error>;

NMISAFE_EXPORT_SYMBOL(kernel::forgotten);
NMISAFE_EXPORT_SYMBOL(kernel::nmi_probe_count);
NMISAFE_EXPORT_SYMBOL(kernel::nmi_probe_value);
NMISAFE_EXPORT_SYMBOL(kernel::refusing_init_hook);
NMISAFE_EXPORT_SYMBOL(kernel::yield);
NMISAFE_EXPORT_SYMBOL(nmisafe::kprobe::insert);
NMISAFE_EXPORT_SYMBOL(nmisafe::marker::internal::calls_none);
NMISAFE_EXPORT_SYMBOL(nmisafe::marker::internal::count_dropped);
NMISAFE_EXPORT_SYMBOL(nmisafe::marker::register_probe);
NMISAFE_EXPORT_SYMBOL(
    static_cast<registered (&)(nmisafe::marker::probe&)>(nmisafe::marker::unregister_probe));
