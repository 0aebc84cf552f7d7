// SPDX-License-Identifier: MIT
// What a CPU's setup is judged by, apart from the instructions that read it: so that a test can make one up.
#pragma once

#include "nmisafe/setup/setup.hpp"

namespace nmisafe::setup::internal {

struct table {
    const uint64_t* entries = nullptr;
    uint32_t limit = 0; ///< The last byte's offset, as the CPU has it.

    /// Whether all of the bytes from `offset` on lie in it.
    bool has(uint32_t offset, uint32_t bytes) const {
        return bytes - 1 <= limit && offset <= limit - (bytes - 1);
    }
};

struct machine {
    table interrupts{};
    table segments{};
    uint16_t task_selector = 0;
    uintptr_t cr4 = 0;
    uintptr_t dr7 = 0;
    uintptr_t debug_control = 0; ///< What DR7 was said to be.
    bool has_shadow_stack = false;
    bool has_trap_text = false; ///< Its code is there, not only its addresses.
    uintptr_t trap_text = 0;
    uintptr_t trap_text_end = 0;
    uintptr_t (*entry_address)(uint8_t vector) = nullptr;
    uintptr_t gs = 0; ///< x86-64: GS base. x86-32: the selector.
    uintptr_t expected_gs =
        0; ///< x86-32: of trap::set_percpu_selector(). x86-64: the nmi_block's is meant.
    bool has_nmi_handler = false;
    bool has_page_fault_handler = false;
};

finding judge(const machine& from, uint32_t own);

} // namespace nmisafe::setup::internal
