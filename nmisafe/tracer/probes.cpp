// SPDX-License-Identifier: MIT
#include "nmisafe/tracer/probes.hpp"

#include "nmisafe/platform/frame.hpp"

namespace nmisafe::tracer {

namespace {

void on_hit(kprobe::probe&, platform::frame& frame) {
    using events::kprobe;
    if (kprobe::type.id() == 0)
        return;
    const auto general = [&](unsigned number) { return platform::register_of(frame, number); };
    enum : unsigned { ax, cx, dx, bx, bp = 5, si, di }; // as instructions number them
    record<kprobe>(platform::ip_of(frame), platform::interrupted_sp_of(frame),
                   platform::flags_of(frame), general(ax), general(bx), general(cx), general(dx),
                   general(si), general(di), general(bp)
#ifdef __x86_64__
                                                 ,
                   general(8), general(9), general(10), general(11), general(12), general(13),
                   general(14), general(15)
#endif
    );
}

} // namespace

base::expected<size_t, kprobe::probe_error> probe(kprobe::probe& what) {
    what.pre = on_hit;
    return kprobe::insert(what);
}

} // namespace nmisafe::tracer
