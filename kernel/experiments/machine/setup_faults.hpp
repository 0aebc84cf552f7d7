// SPDX-License-Identifier: MIT
// What setup::check_setup() says of this kernel's CPUs, and of one that is damaged.
#pragma once

namespace kernel {

/// Whether it finds nothing on any CPU. @context thread, with handlers of NMIs and page faults set
bool setup_is_right();

/// Whether it names what is damaged on this CPU, for as long as it looks. @context as above
bool setup_faults_are_found();

} // namespace kernel
