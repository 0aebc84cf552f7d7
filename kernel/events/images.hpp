// SPDX-License-Identifier: MIT
// The code of modules, in the trace's descriptor: whoever reads the trace finds names for addresses in it.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/module_loader/module_loader.hpp"

namespace kernel {

/// What the descriptor has of one module.
struct traced_images {
    static constexpr unsigned most = 8; ///< Sections with code; of more the rest has no names.
    int32_t numbers[most];
    unsigned count;
};

/// Before the first event from it; nothing if there is no trace. @context thread
void add_images(traced_images& to, const nmisafe::module_loader::loaded_module& which);

/// When nobody is in it any more. @context thread
void images_are_gone(traced_images& which);

} // namespace kernel
