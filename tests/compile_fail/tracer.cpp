// SPDX-License-Identifier: MIT
// An event's arguments fit its fields, or the statement does not compile; names are identifiers. A
// kernel that traces and lacks the tracer's part of its per-CPU data reads its name.
//
// error 1: as many arguments as it has fields
// error 2: as many arguments as it has fields
// error 3: does not fit its field
// error 4: does not fit its field
// error 5: does not fit its field
// error 6: does not fit its field
// error 7: the name of an event is an identifier
// error 8: the name of a field is an identifier
// error 9: does not fit its field
// error 10: lacks: static nmisafe::tracer::cpu& tracer_cpu\(\)
// error 11: does not fit its field
// error 12: does not fit its field
#include "nmisafe/platform/requirements.hpp"
#include "nmisafe/tracer/event.hpp"

struct tracing_kernel {
#if EXPECT_ERROR != 10
    static nmisafe::tracer::cpu& tracer_cpu();
#endif
};
static_assert(nmisafe::platform::check_tracer_contract<tracing_kernel>());

namespace tracer = nmisafe::tracer;

#if EXPECT_ERROR == 7
using packet = tracer::event<"net-packet", tracer::channel::kernel, tracer::u32<"length">,
                             tracer::string<"name", 8>>;
#elif EXPECT_ERROR == 8
using packet = tracer::event<"net_packet", tracer::channel::kernel, tracer::u32<"2length">,
                             tracer::string<"name", 8>>;
#else
using packet = tracer::event<"net_packet", tracer::channel::kernel, tracer::u32<"length">,
                             tracer::string<"name", 8>>;
#endif
using calls = tracer::event<"calls", tracer::channel::samples, tracer::addresses<"chain", 8>>;

void use(unsigned length, const char* name, uint64_t wide, double real);
void use(unsigned length, const char* name, uint64_t wide, double real) {
    (void)wide;
    (void)real;
    tracer::trace<packet>(length, name);
    tracer::trace_load<packet>(uint8_t{1}, "literal");
    tracer::record<calls>(tracer::chain{nullptr, 0});
#if EXPECT_ERROR == 1
    tracer::trace<packet>(length);
#elif EXPECT_ERROR == 2
    tracer::trace<packet>(length, name, length);
#elif EXPECT_ERROR == 3
    tracer::trace<packet>(wide, name);
#elif EXPECT_ERROR == 4
    tracer::trace<packet>(name, name);
#elif EXPECT_ERROR == 5
    tracer::trace_load<packet>(length, length);
#elif EXPECT_ERROR == 6
    tracer::record<packet>(real, name);
#elif EXPECT_ERROR == 9
    tracer::record<calls>(&wide);
#elif EXPECT_ERROR == 11
    tracer::trace<packet>(length, &wide);
#elif EXPECT_ERROR == 12
    if (tracer::is_on<packet>())
        tracer::record<packet>(length, nullptr);
#endif
}
