// SPDX-License-Identifier: MIT
// The experiment of docs/guides/add_to_a_kernel.md: an NMI handler that needs what an IRET would take away.
#pragma once

#include "nmisafe/trap/trap.hpp"
#include "tests/guides/machine.hpp"

inline volatile uint32_t sent, nmis, breakpoints, page_faults, in_handler;
inline constexpr uint32_t wanted = 1000;

inline void send_nmi() {
    if (sent < wanted) {
        sent = sent + 1;
        send_nmi_to_self();
    }
}

// The next NMI waits before the breakpoint. An IRET from there, or from the page fault, lets it in.
inline void on_nmi(nmisafe::x86::trap_frame&) {
    if (in_handler != 0)
        panic("an NMI in an NMI", nmis);
    in_handler = 1;
    nmis = nmis + 1;
    send_nmi();
    asm volatile("int3");
    *reinterpret_cast<volatile uint32_t*>(faulting_page) = nmis;
    map_faulting_page(false);
    in_handler = 0;
}

inline bool on_breakpoint(nmisafe::x86::trap_frame&) {
    breakpoints = breakpoints + 1;
    return true;
}

inline bool on_page_fault(nmisafe::x86::trap_frame&, uintptr_t address) {
    if (address != faulting_page)
        return false;
    page_faults = page_faults + 1;
    map_faulting_page(true);
    return true;
}

inline void report() {
    const uint32_t irets = nmisafe_platform::this_cpu().iret_returns_in_nmi;
    print("NMIs ", nmis);
    print(", breakpoints ", breakpoints);
    print(", page faults ", page_faults);
    print(", IRETs in NMIs ", irets);
    stop(irets == 0 ? 0 : 1);
}
