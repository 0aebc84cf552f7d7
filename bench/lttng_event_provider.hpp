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

// The same events under other names, for sessions of their own.
LTTNG_UST_TRACEPOINT_EVENT_CLASS(nmisafe_event, numbers_class,
                                 LTTNG_UST_TP_ARGS(uint32_t, first, uint64_t, second),
                                 LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(uint32_t, first, first)
                                                         lttng_ust_field_integer(uint64_t, second,
                                                                                 second)))
LTTNG_UST_TRACEPOINT_EVENT_CLASS(nmisafe_event, empty_class, LTTNG_UST_TP_ARGS(),
                                 LTTNG_UST_TP_FIELDS())
#define NMISAFE_NUMBERS(name)                                                                      \
    LTTNG_UST_TRACEPOINT_EVENT_INSTANCE(nmisafe_event, numbers_class, nmisafe_event, name,         \
                                        LTTNG_UST_TP_ARGS(uint32_t, first, uint64_t, second))
#define NMISAFE_EMPTY(name)                                                                        \
    LTTNG_UST_TRACEPOINT_EVENT_INSTANCE(nmisafe_event, empty_class, nmisafe_event, name,           \
                                        LTTNG_UST_TP_ARGS())
NMISAFE_NUMBERS(overwrite_numbers)
NMISAFE_NUMBERS(discard_numbers)
NMISAFE_NUMBERS(lost_numbers)
NMISAFE_EMPTY(overwrite_empty)
NMISAFE_EMPTY(discard_empty)

#endif

#include <lttng/tracepoint-event.h>
