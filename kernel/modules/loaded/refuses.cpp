// SPDX-License-Identifier: MIT
// A module that joins and then does not want to go on.
#include "kernel/modules/loaded/nmi_probe.hpp"
#include "nmisafe/module_loader/declare.hpp"

NMISAFE_MODULE_NAME("refuses");

bool nmisafe_module_init() {
    if (kernel::refusing_init_hook != nullptr)
        kernel::refusing_init_hook();
    return nmisafe::immediate::read<kernel::nmi_probe_value>() == 0xffffffff; // never
}
