// SPDX-License-Identifier: MIT
// The same events by LTTng-UST, recorded if a session has enabled them: bench/with_lttng has one.
#pragma once

#include <cstdint>

namespace nmisafe::bench {

void lttng_numbers(uint32_t first, uint64_t second);
void lttng_empty();

/// Whether a session has enabled both.
bool lttng_records();

} // namespace nmisafe::bench
