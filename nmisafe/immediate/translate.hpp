// SPDX-License-Identifier: MIT
/// What patching says, in the errors of who had something patched.
#pragma once

#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::immediate {

/// The error of the same name, or `not_patched`: what concerns one site is all the same to who
/// knows of keys and tables only. @context any
template <typename Error>
constexpr Error translate(text_patch::patch_error why) {
    switch (why) {
    case text_patch::patch_error::in_nmi:
        return Error::in_nmi;
    case text_patch::patch_error::cannot_synchronise:
        return Error::cannot_synchronise;
    case text_patch::patch_error::busy:
        return Error::busy;
    case text_patch::patch_error::no_room:
        return Error::no_room;
    default:
        return Error::not_patched;
    }
}

} // namespace nmisafe::immediate
