// SPDX-License-Identifier: MIT
#pragma once

#include "nmisafe/platform/cpu_state.hpp"

struct per_cpu {
    per_cpu* self; // at GS:0
    uint32_t preempt_count;
    nmisafe::platform::cpu_state nmisafe;
};
