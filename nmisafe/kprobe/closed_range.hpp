// SPDX-License-Identifier: MIT
/// Code that comes and goes, such as a module's: closed to probes until it is all there, and again
/// before it goes.
///
///     kprobe::closed_range range{.code = {begin, end}, .data = {...}, .constants = {...}};
///     kprobe::close(range);   // before is_text() accepts the code
///     ...                     // the code is made ready
///     kprobe::open(range);    // now it may be probed
///     ...
///     kprobe::close(range);   // or `occupied`: a probe stands in the way
///     ...                     // what is left of the code's own is taken off by itself
///     kprobe::evict(range);   // or by this
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
    base::address_range data;      ///< What goes together with the code: probes may lie there.
    base::address_range constants; ///< The same, read only: what handlers are given may lie there.
    closed_range* next;            ///< The library's.
};

/// From here on insert() takes nothing in the range for code: neither what is to be probed, nor
/// what it decodes on the way there, nor a slot. An insert() that was at work is over, so its probe
/// is seen. Unlike is_no_probe() this concerns probes only: what else patches code goes on.
///
/// `occupied`, and nothing is closed: a probe's instruction lies in the code, or its slot until it
/// is released; or one is removed and not released, from whose slot a thread may still go on there;
/// or somebody's, that does not lie in the range's data, has a handler in its code or an argument
/// in any of the three. What lies in the data is the code's own, which may yet take it off: evict()
/// sees to it. `wrong_state`: closed already. `busy`: as in insert(), try again.
/// @context thread, interrupts on. @return the size of the range.
base::expected<size_t, probe_error> close(closed_range& range);

/// Takes off what probes there are that lie in the range, closed or not, or lead into it: with
/// their handlers or arguments, their instructions or slots. After this no handler of the range
/// runs. But a probe with a slot that lies there, and one whose slot or instruction does, is needed
/// until it is released: as long as there is one left (@return how many) the range's memory must
/// stay. To be asked again when they may have been. `busy`: as in remove(), try again.
/// @context thread, interrupts on
base::expected<size_t, probe_error> evict(const closed_range& range);

/// Undoes close(). `wrong_state`: it is not closed. @context thread, interrupts on. @return the
/// size of the range.
base::expected<size_t, probe_error> open(closed_range& range);

} // namespace nmisafe::kprobe
