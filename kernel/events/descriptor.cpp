// SPDX-License-Identifier: MIT
#include "kernel/events/descriptor.hpp"

namespace kernel {

nmisafe::trace_descriptor::descriptor* trace_in_memory;

} // namespace kernel
