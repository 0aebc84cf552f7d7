// SPDX-License-Identifier: MIT
// A marker's arguments fit its format, or the statement does not compile. A kernel that uses
// markers and lacks the grace period reads its name.
//
// error 1: more conversions than there are arguments
// error 2: fewer conversions than there are arguments
// error 3: does not fit its conversion
// error 4: does not fit its conversion
// error 5: does not fit its conversion
// error 6: does not fit its conversion
// error 7: is not one of d i u x X o c p s
// error 8: is not one of d i u x X o c p s
// error 9: the format of a marker is empty
// error 10: too many arguments
// error 11: does not fit its conversion
// error 12: lacks: static void wait_for_grace_period\(\)
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/platform/requirements.hpp"

struct marking_kernel {
#if EXPECT_ERROR != 12
    static void wait_for_grace_period();
#endif
};
static_assert(nmisafe::platform::check_marker_contract<marking_kernel>());

#define length some_other_name // a marker's name is taken as it is written

void use(unsigned count, unsigned flags, const char* text, uint64_t wide);
void use(unsigned count, unsigned flags, const char* text, uint64_t wide) {
    trace_mark(net, length, "len %u flags %x", count, flags);
    _trace_mark(net, lost, MARK_NOARGS);
    NMISAFE_TRACE_MARK(net, other, "%s %llu", text, wide);
    NMISAFE_TRACE_MARK_LOAD(net, other, "100%% %p", &count);
#if EXPECT_ERROR == 1
    trace_mark(net, wrong, "len %u flags %x", count);
#elif EXPECT_ERROR == 2
    trace_mark(net, wrong, "len %u", count, flags);
#elif EXPECT_ERROR == 3
    trace_mark(net, wrong, "len %u", text);
#elif EXPECT_ERROR == 4
    trace_mark(net, wrong, "text %s", count);
#elif EXPECT_ERROR == 5
    _trace_mark(net, wrong, "%u", wide);
#elif EXPECT_ERROR == 6
    _trace_mark(net, wrong, "%u %llu %s", count, flags, text);
#elif EXPECT_ERROR == 7
    trace_mark(net, wrong, "%f", 1.0);
#elif EXPECT_ERROR == 8
    trace_mark(net, wrong, "100%");
#elif EXPECT_ERROR == 9
    trace_mark(net, wrong, "");
#elif EXPECT_ERROR == 10
    trace_mark(net, wrong, "%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u%u", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
               12, 13, 14, 15, 16, 17);
#elif EXPECT_ERROR == 11
    struct pair {
        int first;
        int second;
    };
    trace_mark(net, wrong, "%llu", pair{1, 2});
#endif
}
