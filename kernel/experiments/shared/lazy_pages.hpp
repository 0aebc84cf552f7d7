// SPDX-License-Identifier: MIT
// Two pages in different entries of the shared level of vmalloc's area, to be faulted in again and
// again.
#pragma once

#include "kernel/memory/address_space.hpp"
#include "nmisafe/base/std.hpp"

namespace kernel {

inline constexpr unsigned lazy_pages = 2;

/// Maps them; each begins with its number. @context thread
void set_up_lazy_pages();

/// The first word of one of them. @context any
volatile uint32_t& lazy_page(unsigned number);

/// Takes all of vmalloc's area out of an address space again, as if it had never faulted there, and
/// out of this CPU's TLB. Other CPUs do not run in it. @context thread
void forget_lazy_pages(const address_space& space);

/// Whether an address space has faulted a page's entry in. @context any
bool has_lazy_page(const address_space& space, unsigned number);

} // namespace kernel
