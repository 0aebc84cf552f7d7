// SPDX-License-Identifier: MIT
/// What patching says, in the errors of who had something patched.
#pragma once

#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::immediate {

/// The error of the same name, or `not_patched`: what concerns one site is all the same to who
/// knows of keys and tables only. @context any
template <typename Error>
constexpr Error translate(text_patch::patch_error why) {
    using text_patch::patch_error;
    if (why == patch_error::in_nmi)
        return Error::in_nmi;
    if (why == patch_error::cannot_synchronise)
        return Error::cannot_synchronise;
    if (why == patch_error::busy)
        return Error::busy;
    if (why == patch_error::no_room)
        return Error::no_room;
    return Error::not_patched;
}

} // namespace nmisafe::immediate
