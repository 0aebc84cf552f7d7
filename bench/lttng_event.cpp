// SPDX-License-Identifier: MIT
#include "bench/lttng_event.hpp"

// Their macros are not written for these warnings.
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wundef"
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "bench/lttng_event_provider.hpp"

namespace nmisafe::bench {

void lttng_numbers(uint32_t first, uint64_t second) {
    lttng_ust_tracepoint(nmisafe_event, overwrite_numbers, first, second);
}
void lttng_discard_numbers(uint32_t first, uint64_t second) {
    lttng_ust_tracepoint(nmisafe_event, discard_numbers, first, second);
}
void lttng_lost_numbers(uint32_t first, uint64_t second) {
    lttng_ust_tracepoint(nmisafe_event, lost_numbers, first, second);
}
void lttng_empty() {
    lttng_ust_tracepoint(nmisafe_event, overwrite_empty);
}
void lttng_discard_empty() {
    lttng_ust_tracepoint(nmisafe_event, discard_empty);
}

bool lttng_records() {
    return lttng_ust_tracepoint_enabled(nmisafe_event, overwrite_numbers) &&
           lttng_ust_tracepoint_enabled(nmisafe_event, overwrite_empty) &&
           lttng_ust_tracepoint_enabled(nmisafe_event, discard_numbers) &&
           lttng_ust_tracepoint_enabled(nmisafe_event, discard_empty) &&
           lttng_ust_tracepoint_enabled(nmisafe_event, lost_numbers);
}

} // namespace nmisafe::bench
