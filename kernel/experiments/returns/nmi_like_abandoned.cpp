// SPDX-License-Identifier: MIT
// A #DB in an NMI leaves both for good. A #DB in an #MC is then none that begins its stack again.
#include "kernel/experiments/returns/nmi_like_abandoned.hpp"

#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/windows.h"
#include "nmisafe/trap/trap.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

shared_count hits; // of #DB
shared_flag leaves;

bool on_debug(trap_frame&) {
    ++hits;
    if (leaves) {
        leaves = false;
        abandon();
    }
    return true;
}

} // namespace

void nmi_like_abandoned() {
    set_scene([](trap_frame&) { debug_trap(); });
    nmisafe::trap::set_handler(X86_VECTOR_DB, on_debug);
    nmisafe::trap::set_handler(X86_VECTOR_MC, [](trap_frame&) {
        debug_trap();
        return true;
    });
    leaves = true;
    if (run_guarded([] {
            raise_nmi_here();
            settle();
        }))
        fail("an NMI that its #DB was to leave came back", 0, 1);
    hits = 0;
    if (!run_guarded([] { raise_vector(X86_VECTOR_MC); }) || hits != 1)
        fail("#DBs in an #MC", 1, hits);
    ++scene.count.boundaries;
}

} // namespace kernel
