// SPDX-License-Identifier: MIT
#include "nmisafe/tracer/probes.hpp"

namespace nmisafe::tracer {

namespace {

void on_hit(kprobe::probe&, x86::trap_frame& frame) {
    using events::kprobe;
    if (kprobe::type.id() == 0)
        return;
    record<kprobe>(frame.ip, frame.interrupted_sp(), frame.flags, frame.ax, frame.bx, frame.cx,
                   frame.dx, frame.si, frame.di, frame.bp
#ifdef __x86_64__
                   ,
                   frame.r8, frame.r9, frame.r10, frame.r11, frame.r12, frame.r13, frame.r14,
                   frame.r15
#endif
    );
}

} // namespace

base::expected<size_t, kprobe::probe_error> probe(kprobe::probe& what) {
    what.pre = on_hit;
    return kprobe::insert(what);
}

} // namespace nmisafe::tracer
