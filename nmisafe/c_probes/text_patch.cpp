// SPDX-License-Identifier: MIT
#include "nmisafe/text_patch/text_patch.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/c/immediate.h"
#include "nmisafe/c/text_patch.h"
#include "nmisafe/c_probes/internal/translate.hpp"
#include "nmisafe/immediate/immediate.hpp"

using namespace nmisafe;

nmisafe_error nmisafe_text_patch(nmisafe_patch* patches, size_t count) {
    return c_probes::outcome(
        text_patch::apply(reinterpret_cast<text_patch::patch*>(patches), count));
}

[[NMISAFE_TRAP_TEXT, gnu::used]] bool nmisafe_text_patch_handle_breakpoint(nmisafe_frame* frame) {
    return text_patch::handle_breakpoint(*reinterpret_cast<x86::trap_frame*>(frame));
}

nmisafe_error nmisafe_branch_set(nmisafe_key* which, bool on) {
    return nmisafe_immediate_set(which, on ? 1 : 0);
}

nmisafe_error nmisafe_immediate_set(nmisafe_key* which, uint32_t value) {
    return c_probes::outcome(
        immediate::internal::set(*reinterpret_cast<immediate::key*>(which), value));
}
