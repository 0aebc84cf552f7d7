// SPDX-License-Identifier: MIT
// LTTng-UST's provider of the event that event_bench compares with. Included again and again by
// LTTng's own headers.
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER nmisafe_event
#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "bench/lttng_event_provider.hpp"

#if !defined(NMISAFE_BENCH_LTTNG_EVENT_PROVIDER_HPP) ||                                            \
    defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define NMISAFE_BENCH_LTTNG_EVENT_PROVIDER_HPP

#include <cstdint>
#include <lttng/tracepoint.h>

LTTNG_UST_TRACEPOINT_EVENT(nmisafe_event, numbers,
                           LTTNG_UST_TP_ARGS(uint32_t, first, uint64_t, second),
                           LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(uint32_t, first, first)
                                                   lttng_ust_field_integer(uint64_t, second,
                                                                           second)))
LTTNG_UST_TRACEPOINT_EVENT(nmisafe_event, empty, LTTNG_UST_TP_ARGS(), LTTNG_UST_TP_FIELDS())

#endif

#include <lttng/tracepoint-event.h>
