// SPDX-License-Identifier: MIT
// The kernel's own code as memory: where it is, what of it must not be patched, how it is written,
// and how all CPUs come to see it.
#pragma once

#include "kernel/boot/layout.h"
#include "kernel/common/image.hpp"
#include "kernel/modules/module_text.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace kernel {

/// Called, if set, before each write to code and after each synchronisation of the CPUs: for
/// experiments that look at the steps of patching. @context thread
extern void (*patching_hook)();

/// Whether all of [begin, end) is code: of the image, or of a live module (modules.hpp).
/// @context any
[[NMISAFE_TRAP_INLINE]] inline bool is_text(uintptr_t begin, uintptr_t end) {
    return (begin >= text_address(kernel_text_begin) && end <= text_address(kernel_text_end)) ||
           is_module_text(begin, end);
}

/// Whether any of [begin, end) is code that runs between a trap and its handler: a breakpoint there
/// would trap on its own handling. boot/sections.ld says what that is. @context any
[[NMISAFE_TRAP_INLINE]] inline bool is_no_probe(uintptr_t begin, uintptr_t end) {
    return (begin < text_address(kernel_no_probe_end) &&
            end > text_address(kernel_no_probe_begin)) ||
           is_module_no_probe(begin, end);
}

/// Changes code through its alias in the direct map, one store a byte: a module's is mapped without
/// write permission, and the image's might be. @context thread
void write_text(uintptr_t address, const uint8_t* bytes, size_t size);

/// Returns when each CPU has executed a serializing instruction since the call. @context thread,
/// see may_broadcast() (broadcast.hpp)
void synchronise_cpus();

/// The latest of these that the CPU which runs this has answered, by its number. @context any
uint32_t synchronisations_here();

/// Sleeps until the next interrupt, unless this CPU has answered one of these since the latest was
/// `last`. So who does something each time has done it in every state that a patcher leaves code
/// in, however few CPUs the host has. With start_tick(): a wake-up can be lost. @context thread
void sleep_unless_synchronised(uint32_t last);

/// Sets the handler of the interrupt that synchronise_cpus() sends. @context boot, once
void set_up_synchronisation();

} // namespace kernel
