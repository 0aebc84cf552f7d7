// SPDX-License-Identifier: MIT
// Handlers that are traced: what a CPU is doing, and the events at begin and end.
//
//     void on_nmi(trap_frame& frame) {
//         const traced_nmi here(frame);
//
// What is on when a handler begins has an end too, also if it was turned off meanwhile. While it is
// off the begin is a NOP, and the end a test of a word on the stack.
#pragma once

#include "kernel/events/emit.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

/// @context nmi
class traced_nmi {
  public:
    explicit traced_nmi(const nmisafe::x86::trap_frame& frame)
        : is_on_(nmisafe::tracer::is_on<nmisafe::tracer::events::nmi_entry>()) {
        if (is_on_) [[unlikely]]
            begin(frame);
    }
    ~traced_nmi() {
        if (is_on_) [[unlikely]]
            end();
    }
    traced_nmi(const traced_nmi&) = delete;
    traced_nmi& operator=(const traced_nmi&) = delete;

  private:
    void begin(const nmisafe::x86::trap_frame& frame);
    void end() const;

    const bool is_on_;
    nmisafe::tracer::context_word before_ = 0;
};

/// Any exception but NMI: #BP, a page fault, ... Of a page fault only once what faulted can be
/// touched again, or an event could fault on its own buffer for ever. @context trap
class traced_trap {
  public:
    explicit traced_trap(const nmisafe::x86::trap_frame& frame)
        : is_on_(nmisafe::tracer::is_on<nmisafe::tracer::events::trap_entry>()),
          vector_(static_cast<uint8_t>(frame.vector)) {
        if (is_on_) [[unlikely]]
            begin(frame);
    }
    ~traced_trap() {
        if (is_on_) [[unlikely]]
            end();
    }
    traced_trap(const traced_trap&) = delete;
    traced_trap& operator=(const traced_trap&) = delete;

  private:
    void begin(const nmisafe::x86::trap_frame& frame);
    void end() const;

    const bool is_on_;
    const uint8_t vector_;
    nmisafe::tracer::context_word before_ = 0;
};

/// An interrupt, without the switch of threads that it may end in. @context irq
class traced_interrupt {
  public:
    traced_interrupt(uint8_t vector, const char* name)
        : is_on_(nmisafe::tracer::is_on<nmisafe::tracer::events::irq_handler_entry>()),
          vector_(vector) {
        if (is_on_) [[unlikely]]
            begin(name);
    }
    ~traced_interrupt() {
        if (is_on_) [[unlikely]]
            end();
    }
    traced_interrupt(const traced_interrupt&) = delete;
    traced_interrupt& operator=(const traced_interrupt&) = delete;

  private:
    void begin(const char* name);
    void end() const;

    const bool is_on_;
    const uint8_t vector_;
    nmisafe::tracer::context_word before_ = 0;
};

/// In the handler of a page fault in ring 0, or in ring 3, that was resolved. @context trap
void trace_page_fault(const nmisafe::x86::trap_frame& frame, uintptr_t address, bool from_user);

} // namespace kernel
