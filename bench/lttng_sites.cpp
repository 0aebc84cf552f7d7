// SPDX-License-Identifier: MIT
// LTTng-UST's tracepoint, as its macros make it. Its provider is the callback below, registered as
// LTTng's own are: so no session daemon is needed, and none of LTTng's threads is started.
#include "bench/marker_sites.hpp"

#define LTTNG_UST_TRACEPOINT_DEFINE
#define LTTNG_UST_TRACEPOINT_PROBE_DYNAMIC_LINKAGE
#include <lttng/tracepoint.h>

#define SITE(number, ...)                                                                          \
    LTTNG_UST_TRACEPOINT_EVENT(nmisafe_bench, site_##number, LTTNG_UST_TP_ARGS(uint32_t, value),   \
                               LTTNG_UST_TP_FIELDS())
NMISAFE_BENCH_EACH_SITE(SITE, )
#undef SITE

namespace nmisafe::bench {

namespace {

struct lttng_sites {
    static flag_addresses flags() {
#define FLAG(number, ...) &lttng_ust_tracepoint_nmisafe_bench___site_##number.state,
        return {NMISAFE_BENCH_EACH_SITE(FLAG, )};
#undef FLAG
    }
    [[gnu::always_inline]] static void round(uint32_t& value) {
#define SITE(number, ...) lttng_ust_tracepoint(nmisafe_bench, site_##number, value);
        NMISAFE_BENCH_EACH_SITE(SITE, )
    }
    [[gnu::always_inline]] static void first(uint32_t& value) {
        SITE(0, )
    }
#undef SITE
};

void count_hit(void*, uint32_t) {
    ++hits;
}

/// Whether it came to pass is not said: marker_bench sees whether the sites hit.
bool turn(bool on) {
    const auto callback = reinterpret_cast<void (*)()>(count_hit);
    static char provider[] = "nmisafe_bench";
#define SITE(number, ...)                                                                          \
    {                                                                                              \
        static char name[] = "site_" #number;                                                      \
        if (on)                                                                                    \
            lttng_ust_tracepoint_register_nmisafe_bench___site_##number(provider, name, callback,  \
                                                                        nullptr);                  \
        else                                                                                       \
            lttng_ust_tracepoint_unregister_nmisafe_bench___site_##number(provider, name,          \
                                                                          callback, nullptr);      \
    }
    NMISAFE_BENCH_EACH_SITE(SITE, )
#undef SITE
    return true;
}

} // namespace

constinit const technique lttng_tracepoint = describe<lttng_sites>("lttng", turn);

} // namespace nmisafe::bench
