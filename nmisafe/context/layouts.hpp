// SPDX-License-Identifier: MIT
/// The layouts of the preempt count that this project knows. README.md cites where the numbers of
/// the older ones come from.
#pragma once

#include "nmisafe/context/layout.hpp"

namespace nmisafe::context::layouts {

/// The default. NMI-class entries nest, up to 15 deep, because a breakpoint or a machine check in
/// an NMI handler is NMI-class too. The fields are those of Linux 6.1; bit 31 is left to the
/// embedding kernel as its need-resched flag.
struct modern {
    static constexpr field preempt{0, 8};
    static constexpr field softirq{8, 8};
    static constexpr field hardirq{16, 4};
    static constexpr field nmi{20, 4};
    static constexpr field preempt_active{};
    static constexpr field need_resched{31, 1};
};

/// The RFC's one NMI bit on top of Linux 2.6.25, where the architecture chooses how many bits count
/// hardirqs and where PREEMPT_ACTIVE is. NMI-class entries do not nest.
template <uint32_t HardirqBits, uint64_t PreemptActive>
struct one_nmi_bit {
    static constexpr field preempt{0, 8};
    static constexpr field softirq{8, 8};
    static constexpr field hardirq{16, HardirqBits};
    static constexpr field nmi{30, 1};
    static constexpr field preempt_active = flag(PreemptActive);
    static constexpr field need_resched{};
};

/// x86, as the RFC leaves it.
struct rfc : one_nmi_bit<12, 0x1000'0000> {};

/// alpha and avr32: PREEMPT_ACTIVE was 0x4000'0000, the RFC's NMI bit; the RFC moves it.
struct alpha : one_nmi_bit<12, 0x1000'0000> {};
struct avr32 : one_nmi_bit<12, 0x1000'0000> {};

/// ARM: also 0x4000'0000, which the RFC missed; the same move is enough.
/// 9 hardirq bits are the wider of ARM's two widths (8 up to 256 interrupts).
struct arm : one_nmi_bit<9, 0x1000'0000> {};

/// ia64: also 0x4000'0000, and the RFC's move alone would not do. ia64 counted hardirqs in 14 bits,
/// 16 to 29, so bit 28 lies inside the field and the only free bit left is the sign of Linux's
/// count. Hence the RFC's own 12 bits here. (Linux 3.1 dropped ia64's width too.)
struct ia64 : one_nmi_bit<12, 0x1000'0000> {};

static_assert(layout<modern> && layout<rfc> && layout<alpha> && layout<avr32> && layout<arm> &&
              layout<ia64>);

} // namespace nmisafe::context::layouts
