// SPDX-License-Identifier: MIT
#include "nmisafe/kprobe/kprobe.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/c/kprobe.h"
#include "nmisafe/c_probes/internal/translate.hpp"

using namespace nmisafe;

namespace {

kprobe::probe& probe_of(nmisafe_kprobe* probe) {
    return *reinterpret_cast<kprobe::probe*>(probe);
}

} // namespace

nmisafe_error nmisafe_kprobe_insert(nmisafe_kprobe* probe) {
    return c_probes::outcome(kprobe::insert(probe_of(probe)));
}

nmisafe_error nmisafe_kprobe_remove(nmisafe_kprobe* probe) {
    return c_probes::outcome(kprobe::remove(probe_of(probe)));
}

nmisafe_error nmisafe_kprobe_release(nmisafe_kprobe* probe) {
    return c_probes::outcome(kprobe::release(probe_of(probe)));
}

[[NMISAFE_TRAP_TEXT, gnu::used]] bool nmisafe_kprobe_handle_breakpoint(nmisafe_frame* frame) {
    return kprobe::handle_breakpoint(*reinterpret_cast<x86::trap_frame*>(frame));
}

[[NMISAFE_TRAP_TEXT, gnu::used]] uintptr_t nmisafe_kprobe_original_address(uintptr_t ip) {
    return kprobe::original_address(ip);
}
