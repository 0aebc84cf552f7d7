// SPDX-License-Identifier: MIT
// The I/O APIC: which device line raises what, where. [82093AA data sheet, 3.2]
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

/// Takes over the I/O APIC with its registers at a physical address, and masks all its pins.
/// @context boot, once
void set_up_io_apic(uintptr_t address);

/// Lets an edge on `pin` raise an NMI, or an interrupt, on a CPU. @context thread
void route_nmi(uint32_t pin, uint32_t cpu_id);
void route_interrupt(uint32_t pin, uint8_t vector, uint32_t cpu_id);

/// Lets a pin raise nothing. @context thread
void mask(uint32_t pin);

} // namespace kernel
