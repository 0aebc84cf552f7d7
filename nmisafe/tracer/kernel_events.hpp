// SPDX-License-Identifier: MIT
/// The events of a kernel, called as readers of kernels' traces expect them. [Trace Compass, base
/// layout of kernel events: of a tracer that is not LTTng]
///
/// A kernel traces those that it has; add_kernel_events() makes all of them known. Its system
/// calls are events of its own, "sys_" and the name, each followed by exit_system_call on the same
/// CPU or wherever the thread runs then.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/tracer/control.hpp"
#include "nmisafe/tracer/event.hpp"

namespace nmisafe::tracer::events {

inline constexpr uint32_t longest_name = 16; ///< Of a thread, as Linux has it.

using sched_switch = event<"sched_switch", channel::kernel, string<"prev_comm", longest_name>,
                           i32<"prev_tid">, i32<"prev_prio">, i64<"prev_state">,
                           string<"next_comm", longest_name>, i32<"next_tid">, i32<"next_prio">>;
using sched_wakeup = event<"sched_wakeup", channel::kernel, string<"comm", longest_name>,
                           i32<"tid">, i32<"prio">, i32<"target_cpu">>;

using irq_handler_entry =
    event<"irq_handler_entry", channel::kernel, i32<"irq">, string<"name", 32>>;
using irq_handler_exit = event<"irq_handler_exit", channel::kernel, i32<"irq">, i32<"ret">>;

/// A system call by its number, for kernels that have no names.
using system_call = event<"sys_by_number", channel::kernel, u32<"number">, hex64<"argument">>;
using exit_system_call = event<"exit_syscall", channel::kernel, i64<"ret">>;

using page_fault_kernel =
    event<"page_fault_kernel", channel::kernel, hex64<"address">, hex64<"ip">, hex32<"error_code">>;
using page_fault_user =
    event<"page_fault_user", channel::kernel, hex64<"address">, hex64<"ip">, hex32<"error_code">>;

using nmi_entry = event<"nmi_entry", channel::kernel, hex64<"ip">>;
using nmi_exit = event<"nmi_exit", channel::kernel>;
using trap_entry = event<"trap_entry", channel::kernel, u8<"vector">, hex64<"ip">>;
using trap_exit = event<"trap_exit", channel::kernel, u8<"vector">>;

using sample = event<"sample", channel::samples, hex64<"ip">, i32<"tid">, addresses<"chain", 64>>;

} // namespace nmisafe::tracer::events

namespace nmisafe::tracer {

/// Makes all of them known, all off. @return how many; errors as add()'s. @context thread
base::expected<size_t, tracer_error> add_kernel_events();

} // namespace nmisafe::tracer
