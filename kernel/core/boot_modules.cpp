// SPDX-License-Identifier: MIT
#include "kernel/core/modules.hpp"

extern "C" {
extern const uint8_t boot_module_nmi_probe_begin[], boot_module_nmi_probe_end[];
extern const uint8_t boot_module_tables_begin[], boot_module_tables_end[];
extern const uint8_t boot_module_refuses_begin[], boot_module_refuses_end[];
extern const uint8_t boot_module_strays_begin[], boot_module_strays_end[];
}

namespace kernel {

boot_module find_boot_module(text name) {
    struct entry {
        text name;
        const uint8_t* begin;
        const uint8_t* end;
    };
    static constexpr entry entries[] = {
        {"nmi_probe", boot_module_nmi_probe_begin, boot_module_nmi_probe_end},
        {"tables", boot_module_tables_begin, boot_module_tables_end},
        {"refuses", boot_module_refuses_begin, boot_module_refuses_end},
        {"strays", boot_module_strays_begin, boot_module_strays_end},
    };
    for (const entry& one : entries)
        if (name == one.name)
            return {one.begin, static_cast<size_t>(one.end - one.begin)};
    return {};
}

} // namespace kernel
