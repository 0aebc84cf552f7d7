// SPDX-License-Identifier: MIT
#include "nmisafe/tracer/kernel_events.hpp"

#include "nmisafe/tracer/probes.hpp"

namespace nmisafe::tracer {

base::expected<size_t, tracer_error> add_kernel_events() {
    // The order is that of the numbers: the most frequent ones are the shorter ones.
    static constinit event_type* const all[] = {&events::nmi_entry::type,
                                                &events::nmi_exit::type,
                                                &events::trap_entry::type,
                                                &events::trap_exit::type,
                                                &events::irq_handler_entry::type,
                                                &events::irq_handler_exit::type,
                                                &events::sched_switch::type,
                                                &events::sched_wakeup::type,
                                                &events::system_call::type,
                                                &events::exit_system_call::type,
                                                &events::page_fault_kernel::type,
                                                &events::page_fault_user::type,
                                                &events::sample::type,
                                                &events::kprobe::type};
    size_t count = 0;
    for (event_type* one : all) {
        const auto added = add(*one);
        if (!added)
            return base::unexpected(added.error());
        ++count;
    }
    return count;
}

} // namespace nmisafe::tracer
