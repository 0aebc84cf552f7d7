// SPDX-License-Identifier: MIT
// Accesses that may be refused.
#pragma once

#include "kernel/common/image.hpp"
#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/trap_frame.h"

// try_read_x86_*.S
extern "C" [[NMISAFE_ASSEMBLY_CALL]] bool kernel_try_read(const uint32_t* address, uint32_t* value);
extern "C" [[NMISAFE_ASSEMBLY_CALL]] bool kernel_try_write(uint32_t* address, uint32_t value);
extern "C" [[NMISAFE_ASSEMBLY_CALL]] bool kernel_try_execute(const void* address);
extern const char kernel_try_read_access[], kernel_try_write_access[], kernel_try_failed[];

namespace kernel {

/// Whether a word can be read, and what it is. Needs a page-fault handler that calls
/// give_up_access(). @context any
inline bool try_read(const void* address, uint32_t& value) {
    return kernel_try_read(static_cast<const uint32_t*>(address), &value);
}

/// Whether a word can be written. @context any
inline bool try_write(void* address, uint32_t value) {
    return kernel_try_write(static_cast<uint32_t*>(address), value);
}

/// For page-fault handlers, last of all: lets a try_read() or try_write() that faulted return
/// false. False: the access was another. @context any
inline bool give_up_access(nmisafe::x86::trap_frame& frame) {
    const uintptr_t ip = nmisafe::kprobe::original_address(frame.ip); // it may be probed
    if (ip != text_address(kernel_try_read_access) && ip != text_address(kernel_try_write_access))
        return false;
    frame.ip = text_address(kernel_try_failed);
    return true;
}

/// Whether a RET that is at an address can be executed there. Needs a page-fault handler that calls
/// give_up_fetch(). @context thread
inline bool try_execute(const void* address) {
    return kernel_try_execute(address);
}

/// The same as give_up_access() for a try_execute() of `address`. @context any
inline bool give_up_fetch(nmisafe::x86::trap_frame& frame, const void* address) {
    if (nmisafe::kprobe::original_address(frame.ip) != reinterpret_cast<uintptr_t>(address))
        return false;
    frame.ip = text_address(kernel_try_failed);
    return true;
}

} // namespace kernel
