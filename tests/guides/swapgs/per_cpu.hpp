// SPDX-License-Identifier: MIT
#pragma once

#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/user/cpu_words.h"
#include "nmisafe/user/layout.h"

struct per_cpu {
    per_cpu* self; // at GS:0
    uint32_t preempt_count;
    nmisafe::user::cpu_words user;
    nmisafe::platform::cpu_state nmisafe;
};
static_assert(offsetof(per_cpu, user) == NMISAFE_USER_CPU);
