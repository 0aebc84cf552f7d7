// SPDX-License-Identifier: MIT
// The other CPUs: starting them, and giving them something to do.
#pragma once

#include "kernel/devices/acpi.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/assembly_call.hpp"

namespace kernel {

/// Starts all other CPUs of the machine, at most most_cpus in all, but for the last ones if the
/// option `late` leaves some out; they then wait for work with interrupts on. Panics if one does
/// not answer. @context boot, first CPU
void start_other_cpus(const machine& found);

/// With the option fsgsbase=on sets CR4.FSGSBASE on the CPU that runs this. Ignored on x86-32.
/// @context boot of that CPU
void use_fsgsbase_if_asked();

/// Starts one of those left out; false if there is none. @context thread, first CPU
bool start_next_cpu();

/// Puts the CPU that came up last out of action, by INIT: start_next_cpu() starts it again. It must
/// be idle and stay so, no other thread on it and no NMI on its way to it, and nobody may be asking
/// all CPUs. @context thread, first CPU
void stop_last_cpu();

extern "C" {
/// What another CPU runs before it is counted, and the first function that it runs as one of all.
[[noreturn, NMISAFE_ASSEMBLY_CALL]] void kernel_other_cpu_main();
[[noreturn]] void kernel_joined();
}

/// Lets another CPU call `function`, as soon as it has nothing else to do, and does not wait for
/// it. On the CPU that runs this it is called at once. CPU 0 takes no work from others. @context
/// thread
void run_on(uint32_t cpu_id, void (*function)(void*), void* argument);

/// Waits until a CPU is done with its work. @context thread
void wait(uint32_t cpu_id);

} // namespace kernel
