// SPDX-License-Identifier: MIT
// What the firmware's tables say about this machine. [ACPI 6.4, 5.2]
#pragma once

#include "kernel/cpu/per_cpu.hpp"

namespace kernel {

struct machine {
    uint32_t apic_ids[most_cpus]; ///< Of the CPUs that may be started, the boot CPU among them.
    uint32_t cpus;
    uint32_t cpus_left_out; ///< Enabled ones beyond most_cpus.
    uintptr_t io_apic;
    uintptr_t hpet; ///< 0 if no table names one.
};

/// Reads the tables; panics with what is wrong if one is missing or damaged. @context boot, once
machine read_machine();

} // namespace kernel
