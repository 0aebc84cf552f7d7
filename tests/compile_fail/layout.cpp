// SPDX-License-Identifier: MIT
// The preempt-count layouts of 2008 with the RFC's NMI bit on top must not compile: not alpha and
// avr32 as they were, not ARM and ia64 as the RFC leaves them, and not ia64 with the RFC's move and
// nothing else, because bit 28 is one of its hardirq bits.
//
// error 1: nmi and preempt_active collide
// error 2: nmi and preempt_active collide
// error 3: nmi and preempt_active collide
// error 4: nmi and preempt_active collide
// error 5: hardirq and preempt_active collide
#include "nmisafe/context/layouts.hpp"

using nmisafe::context::layout;
using nmisafe::context::layouts::one_nmi_bit;

template <int Variant>
struct layout_of_2008;
template <>
struct layout_of_2008<0> : nmisafe::context::layouts::alpha {};
template <>
struct layout_of_2008<1> : one_nmi_bit<12, 0x4000'0000> {}; // alpha
template <>
struct layout_of_2008<2> : one_nmi_bit<12, 0x4000'0000> {}; // avr32
template <>
struct layout_of_2008<3> : one_nmi_bit<9, 0x4000'0000> {}; // ARM
template <>
struct layout_of_2008<4> : one_nmi_bit<14, 0x4000'0000> {}; // ia64
template <>
struct layout_of_2008<5> : one_nmi_bit<14, 0x1000'0000> {}; // ia64, moved

static_assert(layout<layout_of_2008<EXPECT_ERROR>>);
