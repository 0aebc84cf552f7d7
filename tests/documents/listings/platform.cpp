// SPDX-License-Identifier: MIT
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"

struct nmisafe_platform {
    [[NMISAFE_TRAP_TEXT]] static uint32_t preempt_count();
    [[NMISAFE_TRAP_TEXT]] static void add_preempt_count(uint32_t delta);
    [[NMISAFE_TRAP_TEXT]] static nmisafe::platform::cpu_state& this_cpu();
    [[noreturn]] static void panic(const nmisafe::platform::failure& why);
};

#define LISTING_IS_THE_CONTRACT
#include "nmisafe/platform/contract.hpp"
