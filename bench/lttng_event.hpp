// SPDX-License-Identifier: MIT
// The same events by LTTng-UST, recorded if a session has enabled them: bench/with_lttng has one.
#pragma once

#include <cstdint>

namespace nmisafe::bench {

// Of a flight recorder.
void lttng_numbers(uint32_t first, uint64_t second);
void lttng_empty();
// In mode discard, with a reader.
void lttng_discard_numbers(uint32_t first, uint64_t second);
void lttng_discard_empty();
// In mode discard, and nobody reads: a full buffer's, lost.
void lttng_lost_numbers(uint32_t first, uint64_t second);

/// Whether sessions have enabled all.
bool lttng_records();

} // namespace nmisafe::bench
