// SPDX-License-Identifier: MIT
/// Code that comes and goes, such as a module's: closed to probes until it is all there, and again
/// before it goes.
///
///     kprobe::closed_range range{.code = {begin, end}};
///     kprobe::close(range);   // before is_text() accepts the code
///     ...                     // the code is made ready
///     kprobe::open(range);    // now it may be probed
///     ...
///     kprobe::close(range);   // or `occupied`: a probe stands in the way
///     ...                     // is_text() refuses the code, nobody executes it any more
///     kprobe::open(range);    // before something else comes to stand there
#pragma once

#include "nmisafe/base/address_range.hpp"
#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/kprobe/probe_error.hpp"

namespace nmisafe::kprobe {

/// A range to be closed. The caller's; from close() to open() it is resident and left alone.
struct closed_range {
    base::address_range code;
    closed_range* next; ///< The library's.
};

/// From here on insert() takes nothing in the range for code: neither what is to be probed, nor
/// what it decodes on the way there, nor a slot. An insert() that was at work is over, so its probe
/// is seen. Unlike is_no_probe() this concerns probes only: what else patches code goes on.
///
/// `occupied`, and nothing is closed: a probe's instruction lies in the range, or its slot until it
/// is released; or one is removed and not released, from whose slot a thread may still go on there.
/// `wrong_state`: closed already. `busy`: as in insert(), try again.
/// @context thread, interrupts on. @return the size of the range.
base::expected<size_t, probe_error> close(closed_range& range);

/// Undoes close(). `wrong_state`: it is not closed. @context thread, interrupts on. @return the
/// size of the range.
base::expected<size_t, probe_error> open(closed_range& range);

} // namespace nmisafe::kprobe
