// SPDX-License-Identifier: MIT
#include "kernel/modules/modules.hpp"

namespace {

/// As boot_modules.S.in has it, an entry for each file of modules/.
struct entry {
    const char* name;
    const uint8_t* begin;
    const uint8_t* end;
};

} // namespace

extern "C" const entry boot_modules[], boot_modules_end[];

namespace kernel {

boot_module find_boot_module(text name) {
    for (const entry* one = boot_modules; one != boot_modules_end; ++one)
        if (name == text(one->name))
            return {one->begin, static_cast<size_t>(one->end - one->begin)};
    return {};
}

} // namespace kernel
