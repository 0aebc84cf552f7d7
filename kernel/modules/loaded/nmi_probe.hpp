// SPDX-License-Identifier: MIT
// What the modules nmi_probe and refuses and the kernel have in common: variables of the kernel's,
// which it exports.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/immediate/immediate.hpp"

namespace kernel {

/// Written by the module, but for the last, each word by one instruction.
struct nmi_probe_counts {
    uint32_t calls;        ///< Of the module's probe.
    uint32_t wrong;        ///< It found its data or its constants other than they are.
    uint32_t wrong_values; ///< nmi_probe_value, as an instruction of the module had it, was none.
    uint32_t latest_value; ///< What it was last.
    uint32_t own_marks;    ///< Hits of the module's own marker, as its second probe saw them.
    uint32_t started;      ///< Inits.
    uint32_t stopped;      ///< Exits.
    uint32_t linger;       ///< Set by the kernel: how long a call in a thread takes.
};
extern nmi_probe_counts nmi_probe_count;

/// Called by the init of `refuses`, in a thread. May be null.
extern void (*refusing_init_hook)();

/// 1, 2 or 3. Set by the kernel also while the module is not there: its instructions must have it.
extern nmisafe::immediate::immediate<uint32_t, 1> nmi_probe_value;

} // namespace kernel
