// SPDX-License-Identifier: MIT
/// For the sources of a module: what the loader looks for in it, all optional.
///
///     NMISAFE_MODULE_NAME("counter");
///     bool nmisafe_module_init() { return true; }
///     void nmisafe_module_exit() {}
#pragma once

/// Called by start(), in its thread. False: the module cannot go on, and has undone what it did.
extern "C" bool nmisafe_module_init();

/// Called by stop() and unload(), in their thread. Undoes what init did.
extern "C" void nmisafe_module_exit();

/// At most 63 characters.
extern "C" const char nmisafe_module_name[];
#define NMISAFE_MODULE_NAME(text)                                                                  \
    [[gnu::used]] const char nmisafe_module_name[] = text;                                         \
    static_assert(sizeof(text) <= 64, "the name of a module has at most 63 characters")
