// SPDX-License-Identifier: MIT
// A module that has only what is joined: markers and immediate values, in code that nobody calls,
// and neither init nor exit.
#include "kernel/modules/loaded/nmi_probe.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/module_loader/declare.hpp"

NMISAFE_MODULE_NAME("tables");

constinit nmisafe::immediate::immediate<bool> tables_flag;

uint32_t tables_read(const char* name) {
    trace_mark(tables, read, "name %s", name);
    trace_mark(tables, read_twice, "name %s flag %d", name, tables_flag.stored());
    if (nmisafe::immediate::branch<tables_flag>())
        return 0;
    return nmisafe::immediate::read<kernel::nmi_probe_value>();
}
