// SPDX-License-Identifier: MIT
/// Sites of code that is loaded later: a module brings the table that its own linking has made.
///
///     nmisafe::immediate::site_range sites{.begin = ..., .end = ..., .code = ..., .data = ...};
///     const auto joined = nmisafe::immediate::join(sites);   // then its code may run
///     ...
///     const auto left = nmisafe::immediate::leave(sites);    // then its memory may go
#pragma once

#include "nmisafe/base/address_range.hpp"
#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/immediate/site.hpp"

namespace nmisafe::immediate {

/// A table of sites and the memory of what it names. Owned by who joins it, resident from join() to
/// leave(), and not changed in between; so is the table.
struct site_range {
    const site* begin;
    const site* end;
    base::address_range code;   ///< Where the sites and the targets of branches lie, no others do.
    base::address_range data;   ///< Where keys may lie: the module's own, mapped.
    base::address_range shared; ///< Where else they may: the program's, mapped; or empty.
    site_range* next;           ///< The library's.
};

/// Of all these only `busy` passes by itself: whoever gets it may try again.
enum class join_error : uint8_t {
    in_nmi = 1,         ///< Asked for in an NMI handler.
    cannot_synchronise, ///< The platform cannot reach the other CPUs from here (interrupts off).
    busy,               ///< A set(), join() or leave(), or another patcher, is at work. Try again.
    no_room,            ///< More sites to be changed than use_workspace() has made room for.
    joined_already,     ///< That range has joined, and has not left.
    not_joined,         ///< It has not.
    bad_table,          ///< No whole number of aligned entries, more than the code has room for, or
                        ///< code that sites of another table lie in.
    bad_site,           ///< An entry that neither compiler nor assembler makes (README.md).
    not_patched,        ///< A site cannot be patched: a change between the checks and the writing.
    keys_in_use,        ///< A site of another table has its key in the data that is to leave.
};

/// Takes the sites of a range up: brings each to what its key holds now, whatever the object file
/// came with, all at one instant or, with an error, none; from now on set() changes them too,
/// together with the key's others. Every entry is checked first: of one that is refused nothing has
/// been written.
///
/// Best called before the code runs; it is right too while CPUs execute it, since the patching is
/// set()'s. Costs three synchronisations of all CPUs if a site changes, else none. The checks are
/// linear in the number of sites if they are sorted by address, nearly so if most are, else
/// quadratic.
/// @context thread, interrupts on. @return how many sites were changed.
base::expected<size_t, join_error> join(site_range& added);

/// Forgets the sites of a range, and leaves them as they are, with or without a probe on them. When
/// it returns the table, the range and the code may be unmapped as far as this module is concerned;
/// so may the data, in which no site's key lies any more: tables whose sites have their keys there
/// must leave first.
/// @context thread, interrupts on. @return how many sites there were.
base::expected<size_t, join_error> leave(site_range& gone);

} // namespace nmisafe::immediate
