// SPDX-License-Identifier: MIT
/// A thread that plays a CPU stays on one. Hosted code, for tests only.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sched.h>

namespace nmisafe::platform::hosted {

/// Keeps the calling thread on the CPU it is on, and those it starts. The time-stamp counter never
/// steps back on a CPU; between two of a virtual machine's it may, and a moved thread would see it.
/// If the system refuses, the output says so.
inline void stay_on_this_cpu() {
    const int cpu = sched_getcpu();
    cpu_set_t only;
    CPU_ZERO(&only);
    if (cpu >= 0 && cpu < CPU_SETSIZE)
        CPU_SET(static_cast<unsigned>(cpu), &only);
    if (sched_setaffinity(0, sizeof only, &only) != 0)
        std::printf("this thread may be moved to other CPUs: %s\n", std::strerror(errno));
}

} // namespace nmisafe::platform::hosted
