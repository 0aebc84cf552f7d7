// SPDX-License-Identifier: MIT
// A kernel that lacks a function of the platform contract reads its name; one that has half of an
// optional pair, or a hook of the wrong signature, is told so instead of being taken for a kernel
// without it.
//
// error 1: lacks: static uint32_t preempt_count\(\)
// error 2: lacks: static void add_preempt_count\(uint32_t delta\)
// error 3: lacks: static nmisafe::platform::cpu_state& this_cpu\(\)
// error 4: lacks: \[\[noreturn\]\] static void panic
// error 5: both or none: static void lock_checker_off\(\), static void lock_checker_on\(\)
// error 6: both or none: static void irq_enter_accounting\(\), static void irq_exit_accounting\(\)
// error 7: wrong: static void capture_return
// error 8: lacks: static uint32_t preempt_count\(\)
// error 9: nmi and preempt_active collide
// error 10: wrong: static void end_section
// error 11: both or none: using frame, static constexpr nmisafe::platform::frame_layout layout_of_frame
#include "nmisafe/context/count.hpp"

static_assert(std::same_as<nmisafe::platform::contract, nmisafe_platform>);
static_assert(nmisafe::context::count::nmi_mask == 0x4000'0000);
