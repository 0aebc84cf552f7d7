// SPDX-License-Identifier: MIT
#include "kernel/core/code.hpp"

#include "kernel/core/apic.hpp"
#include "kernel/core/controls.hpp"
#include "kernel/core/hpet.hpp"
#include "kernel/core/interrupts.hpp"
#include "kernel/core/per_cpu.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"
#include "nmisafe/x86/serialize.hpp"

namespace kernel {

void (*patching_hook)() = nullptr;

#ifdef NMISAFE_TRAP_CONTROLS
uint32_t removed_defences = 0;
#endif

namespace {

using namespace nmisafe;

constexpr uint8_t breakpoint = 0xcc;

uint32_t requests; // synchronisations asked for so far

void call_hook() {
    if (patching_hook != nullptr)
        patching_hook();
}

/// The request is read before the serializing instruction: an answer never covers a later one.
/// No irq_enter(): nothing in here asks, and nothing is due afterwards.
bool on_synchronise(x86::trap_frame&) {
    const uint32_t request = __atomic_load_n(&requests, __ATOMIC_ACQUIRE);
    x86::serialize_core();
    __atomic_store_n(&this_cpu().synchronised, request, __ATOMIC_RELEASE);
    end_of_interrupt();
    return true;
}

bool has_answered(uint32_t id, uint32_t request) {
    const uint32_t answer = __atomic_load_n(&cpu_at(id).synchronised, __ATOMIC_ACQUIRE);
    return static_cast<int32_t>(answer - request) >= 0;
}

/// Without PAUSE: QEMU answers each with a trip through the lock that also serves its devices.
void wait_for_answer(uint32_t id, uint32_t request) {
    while (!has_answered(id, request))
        for (unsigned i = 0; i < 100; ++i)
            asm volatile("");
}

} // namespace

void write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
    call_hook();
    if (is_removed(defence::int3) && size == 1 && *bytes == breakpoint)
        return;
    auto* const alias =
        reinterpret_cast<volatile uint8_t*>(address - KERNEL_IMAGE_BASE + KERNEL_DIRECT_BASE);
    for (size_t i = 0; i < size; ++i)
        alias[i] = bytes[i];
}

bool may_synchronise() {
    return cpu_count() == 1 || (x86::read_flags() & X86_FLAGS_IF) != 0;
}

void synchronise_cpus() {
    const uint32_t request = __atomic_add_fetch(&requests, 1, __ATOMIC_SEQ_CST);
    const uint32_t self = this_cpu().id;
    for (uint32_t id = 0; id < cpu_count(); ++id)
        if (id != self)
            send_interrupt(id, static_cast<uint8_t>(vector::synchronise));
    x86::serialize_core();
    for (uint32_t id = 0; id < cpu_count(); ++id)
        if (id != self)
            wait_for_answer(id, request);
    call_hook();
}

void set_up_synchronisation() {
    trap::set_handler(static_cast<uint8_t>(vector::synchronise), on_synchronise);
}

} // namespace kernel
