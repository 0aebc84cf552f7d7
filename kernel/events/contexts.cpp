// SPDX-License-Identifier: MIT
#include "kernel/events/contexts.hpp"

#include "nmisafe/kprobe/kprobe.hpp"

namespace kernel {

using namespace nmisafe;
namespace events = tracer::events;

// What ran in a kprobe's slot is told by the probed instruction's address.
//
// After enter() an event is one of the handler's, before leave() too. An interrupted event, half
// written, is not disturbed by these.

void traced_nmi::begin(const x86::trap_frame& frame) {
    before_ = tracer::enter(ctf::context::nmi);
    emit_always<events::nmi_entry>(kprobe::original_address(frame.ip));
}

void traced_nmi::end() const {
    emit_always<events::nmi_exit>();
    tracer::leave(before_);
}

void traced_trap::begin(const x86::trap_frame& frame) {
    before_ = tracer::enter(ctf::context::trap);
    emit_always<events::trap_entry>(vector_, kprobe::original_address(frame.ip));
}

void traced_trap::end() const {
    emit_always<events::trap_exit>(vector_);
    tracer::leave(before_);
}

void traced_interrupt::begin(const char* name) {
    before_ = tracer::enter(ctf::context::interrupt);
    emit_always<events::irq_handler_entry>(int32_t{vector_}, name);
}

void traced_interrupt::end() const {
    emit_always<events::irq_handler_exit>(int32_t{vector_}, int32_t{1});
    tracer::leave(before_);
}

void trace_page_fault(const x86::trap_frame& frame, uintptr_t address, bool from_user) {
    const auto error = static_cast<uint32_t>(frame.error);
    if (from_user)
        emit<events::page_fault_user>(address, frame.ip, error);
    else if (tracer::is_on<events::page_fault_kernel>()) [[unlikely]]
        emit_always<events::page_fault_kernel>(address, kprobe::original_address(frame.ip), error);
}

} // namespace kernel
