// SPDX-License-Identifier: MIT
#include "kernel/smp/code.hpp"
#include "kernel/cpu/vectors.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/smp/broadcast.hpp"
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

void serialize() {
    x86::serialize_core();
}

constinit broadcast synchronisations(vector::synchronise, serialize);

/// Each byte for itself: an instruction of a module may be in two pages, which may be anywhere.
volatile uint8_t* alias_of(uintptr_t address) {
    const uintptr_t physical = address < text_address(kernel_text_end)
                                   ? address - KERNEL_IMAGE_BASE
                                   : static_cast<uintptr_t>(lazy_physical_address(address));
    if (physical == 0)
        panic("code that is to be written is not mapped", nullptr, address);
    return reinterpret_cast<volatile uint8_t*>(KERNEL_DIRECT_BASE + physical);
}

bool on_synchronise(x86::trap_frame&) {
    synchronisations.answer();
    return true;
}

void call_hook() {
    if (patching_hook != nullptr)
        patching_hook();
}

} // namespace

void write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
    call_hook();
    if (is_removed(defence::int3) && size == 1 && *bytes == breakpoint)
        return;
    for (size_t i = 0; i < size; ++i) {
        *alias_of(address + i) = bytes[i];
        if (is_removed(defence::int3))
            synchronise_cpus(); // wakes the other CPUs: they execute what is written by half
    }
}

void synchronise_cpus() {
    synchronisations.ask_all();
    call_hook();
}

uint32_t synchronisations_here() {
    return synchronisations.answered(this_cpu().id);
}

void sleep_unless_synchronised(uint32_t last) {
    x86::disable_interrupts();
    if (synchronisations_here() == last)
        asm volatile("sti\n\thlt" : : : "memory");
    x86::enable_interrupts();
}

void set_up_synchronisation() {
    trap::set_handler(static_cast<uint8_t>(vector::synchronise), on_synchronise);
}

} // namespace kernel
