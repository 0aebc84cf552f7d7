// SPDX-License-Identifier: MIT
/// Kprobes as events: the registers, whenever an instruction is reached.
///
///     static constinit kprobe::probe one{.address = address, .function = function, .slot = slot};
///     const auto inserted = tracer::probe(one);       // kprobe::remove() and release() end it
#pragma once

#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/tracer/event.hpp"

namespace nmisafe::tracer {

namespace internal {

template <fixed_string Name>
using word =
    integer<Name, sizeof(uintptr_t) == 8 ? ctf::kind::u64 : ctf::kind::u32, ctf::base::hexadecimal>;

} // namespace internal

namespace events {

/// As the instruction finds them. `ip` is the instruction's address.
#ifdef __x86_64__
using kprobe =
    event<"kprobe", channel::markers, hex64<"ip">, internal::word<"sp">, internal::word<"flags">,
          internal::word<"ax">, internal::word<"bx">, internal::word<"cx">, internal::word<"dx">,
          internal::word<"si">, internal::word<"di">, internal::word<"bp">, internal::word<"r8">,
          internal::word<"r9">, internal::word<"r10">, internal::word<"r11">, internal::word<"r12">,
          internal::word<"r13">, internal::word<"r14">, internal::word<"r15">>;
#else
using kprobe =
    event<"kprobe", channel::markers, hex64<"ip">, internal::word<"sp">, internal::word<"flags">,
          internal::word<"ax">, internal::word<"bx">, internal::word<"cx">, internal::word<"dx">,
          internal::word<"si">, internal::word<"di">, internal::word<"bp">>;
#endif

} // namespace events

/// Puts a probe on an instruction that writes an event each time, until kprobe::remove(). The
/// caller has filled in `address`, `function`, `slot` and, if he wants, `post`. Whoever has not
/// called add_kernel_events(), or add() of the event, gets none.
///
/// Where it is hit in another probe's handler, or in its own, there is no event: `missed` counts
/// it.
/// @return, errors, context: as kprobe::insert()
base::expected<size_t, kprobe::probe_error> probe(kprobe::probe& what);

} // namespace nmisafe::tracer
