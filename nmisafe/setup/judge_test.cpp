// SPDX-License-Identifier: MIT
// A machine that is right, and each fault by itself.
#include "nmisafe/setup/internal/machine.hpp"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/vectors.h"

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <string>

namespace nmisafe::setup {

namespace {

using internal::machine;

constexpr uint16_t code = 8, data = 16, task = 24;
constexpr uintptr_t text = 0x100000;

uintptr_t entry_of(uint8_t vector) {
    return text + uintptr_t{vector} * 16;
}

#ifdef __x86_64__
constexpr unsigned gate_words = 2;
constexpr auto width = x86::segment_width::bits_64;
#else
constexpr uint16_t other_task = 40;
constexpr unsigned gate_words = 1;
constexpr auto width = x86::segment_width::bits_32;
#endif

/// A CPU as it should be.
struct good_cpu {
    uint64_t interrupts[256 * gate_words] = {};
    uint64_t segments[8] = {};
    alignas(4096) unsigned char stacks[4096] = {};
    machine state;

    good_cpu() {
        const auto flat = [](x86::segment_type type, x86::segment_width of) {
            return x86::make_segment(0, x86::flat_limit, type, of).bits;
        };
        segments[code / 8] = flat(x86::segment_type::code, width);
        segments[data / 8] = flat(x86::segment_type::data, x86::segment_width::bits_32);
        set_task(task, sizeof(x86::tss_32) - 1);
        for (unsigned vector = 0; vector < 256; ++vector)
            set_gate(vector, x86::gate_type::interrupt);
#ifdef __x86_64__
        auto& mine = block();
        for (unsigned number = 1; number < 8; ++number)
            mine.tss.ist[number - 1] = 0xffff800000100000 + number * 0x4000;
        mine.tss.ist[trap::nmi_ist - 1] = reinterpret_cast<uintptr_t>(&mine);
        mine.gs_base = 0x1234000;
        state.gs = 0x1234000;
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
        mine.kernel_tables = 4096;
#endif
#else
        set_task(other_task, sizeof(x86::tss_32) - 1);
        set_raw(X86_VECTOR_DF, x86::make_gate_32(0, other_task, x86::gate_type::task).bits);
        state.gs = state.expected_gs = 48;
#endif
        state.interrupts = {interrupts, sizeof interrupts - 1};
        state.segments = {segments, sizeof segments - 1};
        state.task_selector = task;
        state.dr7 = 0x400;
        state.has_trap_text = true;
        state.trap_text = text;
        state.trap_text_end = text + 0x4000;
        state.entry_address = entry_of;
        state.has_nmi_handler = state.has_page_fault_handler = true;
    }

#ifdef __x86_64__
    static uint8_t stack_of(unsigned vector) {
        return vector == X86_VECTOR_NMI  ? trap::nmi_ist
               : vector == X86_VECTOR_DB ? 2
               : vector == X86_VECTOR_DF ? 3
               : vector == X86_VECTOR_MC ? 4
                                         : 0;
    }
    trap::nmi_block& block() {
        return *reinterpret_cast<trap::nmi_block*>(stacks + 2048);
    }
    uintptr_t task_address() {
        return reinterpret_cast<uintptr_t>(&block().tss);
    }
#else
    uintptr_t task_address() {
        return reinterpret_cast<uintptr_t>(stacks);
    }
#endif

    void set_task(uint16_t selector, uint32_t limit) {
        const uint64_t base = task_address();
        segments[selector / 8] =
            x86::make_segment(static_cast<uint32_t>(base), limit, x86::segment_type::tss_32,
                              x86::segment_width::system)
                .bits;
        if (gate_words == 2)
            segments[selector / 8 + 1] = base >> 32;
    }
    void set_raw(unsigned vector, uint64_t low) {
        interrupts[vector * gate_words] = low;
    }
    uint64_t& raw(unsigned vector) {
        return interrupts[vector * gate_words];
    }
    void set_gate(unsigned vector, x86::gate_type type, unsigned leads_to) {
        const uintptr_t target = entry_of(static_cast<uint8_t>(leads_to));
#ifdef __x86_64__
        const auto made = x86::make_gate_64(target, code, stack_of(vector), type);
        interrupts[vector * 2] = made.low;
        interrupts[vector * 2 + 1] = made.high;
#else
        set_raw(vector, x86::make_gate_32(target, code, type).bits);
#endif
    }
    void set_gate(unsigned vector, x86::gate_type type) {
        set_gate(vector, type, vector);
    }
#ifdef __x86_64__
    void set_stack(unsigned vector, uint64_t number) {
        raw(vector) = (raw(vector) & ~(uint64_t{7} << 32)) | number << 32;
    }
#endif
    finding judge(uint32_t own = 0) const {
        return internal::judge(state, own);
    }
};

/// What is done to a CPU that is right, and what is then found.
void expect(fault what, unsigned vector, const std::function<void(good_cpu&)>& damage) {
    good_cpu cpu;
    damage(cpu);
    const finding found = cpu.judge();
    CAPTURE(static_cast<int>(what));
    CHECK(static_cast<int>(found.what) == static_cast<int>(what));
    CHECK(found.vector == vector);
}

TEST_CASE("a CPU that is right") {
    const good_cpu cpu;
    CHECK(cpu.judge().what == fault::none);
}

TEST_CASE("user mode's entries, and its INT3, are right too") {
    good_cpu cpu;
    cpu.set_gate(X86_VECTOR_BP, x86::gate_type::user_interrupt);
    CHECK(cpu.judge().what == fault::none);
    cpu.state.entry_address = [](uint8_t vector) { return text + 0x2000 + uintptr_t{vector} * 16; };
    CHECK(cpu.judge().what == fault::none);
}

TEST_CASE("the section") {
    expect(fault::section_missing, 0, [](good_cpu& cpu) { cpu.state.has_trap_text = false; });
    expect(fault::section_missing, 0, [](good_cpu& cpu) { cpu.state.trap_text_end = text; });
}

TEST_CASE("gates") {
    constexpr uint64_t bit = 1;
    constexpr uint8_t vectors[] = {X86_VECTOR_NMI, X86_VECTOR_DB, X86_VECTOR_BP, X86_VECTOR_PF,
                                   X86_VECTOR_MC};
    expect(fault::table_short, X86_VECTOR_MC, [](good_cpu& cpu) {
        cpu.state.interrupts.limit = (X86_VECTOR_MC + 1) * gate_words * 8 - 2;
    });
    expect(fault::none, 0, [](good_cpu& cpu) {
        cpu.state.interrupts.limit = (X86_VECTOR_MC + 1) * gate_words * 8 - 1;
    });
    for (const uint8_t vector : vectors) {
        CAPTURE(vector);
        expect(fault::gate_absent, vector, [=](good_cpu& cpu) { cpu.raw(vector) &= ~(bit << 47); });
        expect(fault::gate_kind, vector,
               [=](good_cpu& cpu) { cpu.raw(vector) |= bit << 40; }); // a trap gate
        expect(fault::gate_kind, vector,
               [=](good_cpu& cpu) { cpu.raw(vector) &= ~(bit << 43); }); // of 16 bits
        expect(fault::gate_segment, vector,
               [=](good_cpu& cpu) { cpu.raw(vector) ^= uint64_t{code ^ data} << 16; });
        expect(fault::gate_segment, vector,
               [=](good_cpu& cpu) { cpu.raw(vector) |= uint64_t{3} << 16; });
        expect(fault::gate_segment, vector,
               [=](good_cpu& cpu) { cpu.raw(vector) |= uint64_t{0x80} << 16; });
        expect(fault::gate_target, vector, [=](good_cpu& cpu) { cpu.raw(vector) ^= bit << 63; });
        expect(fault::gate_other, vector,
               [=](good_cpu& cpu) { cpu.set_gate(vector, x86::gate_type::interrupt, vector + 1); });
        if (vector != X86_VECTOR_BP)
            expect(fault::gate_ring, vector,
                   [=](good_cpu& cpu) { cpu.set_gate(vector, x86::gate_type::user_interrupt); });
    }
    expect(fault::gate_segment, X86_VECTOR_NMI,
           [](good_cpu& cpu) { cpu.segments[code / 8] ^= uint64_t{6} << 52; });
}

TEST_CASE("gates of the embedder's own") {
    good_cpu cpu;
    cpu.raw(X86_VECTOR_PF) ^= uint64_t{1} << 62;
    CHECK(cpu.judge().what == fault::gate_target);
    CHECK(cpu.judge(1U << X86_VECTOR_PF).what == fault::none);
    cpu.state.has_page_fault_handler = false; // nor is its handler
    CHECK(cpu.judge(1U << X86_VECTOR_PF).what == fault::none);
    CHECK(cpu.judge(1U << X86_VECTOR_BP).what == fault::gate_target);
    cpu.raw(X86_VECTOR_NMI) ^= uint64_t{1} << 62;
    CHECK(cpu.judge(~0U).what == fault::gate_target);
}

TEST_CASE("the TSS") {
    expect(fault::task_missing, 0, [](good_cpu& cpu) { cpu.state.task_selector = 0; });
    expect(fault::task_missing, 0, [](good_cpu& cpu) { cpu.state.task_selector = data; });
    expect(fault::task_missing, 0, [](good_cpu& cpu) { cpu.state.task_selector = 8 * 8; });
    expect(fault::task_missing, 0,
           [](good_cpu& cpu) { cpu.set_task(task, sizeof(x86::tss_32) - 2); });
    expect(fault::none, 0, [](good_cpu& cpu) {
        cpu.segments[task / 8] |= uint64_t{2} << 40;
    }); // busy, as LTR makes it
}

TEST_CASE("debug registers and handlers") {
    expect(fault::debug_guard, 0, [](good_cpu& cpu) { cpu.state.dr7 |= 0x2000; });
    expect(fault::debug_control, 0, [](good_cpu& cpu) { cpu.state.dr7 |= 1; });
    expect(fault::debug_control, 0, [](good_cpu& cpu) { cpu.state.debug_control |= 1; });
    expect(fault::nmi_handler, X86_VECTOR_NMI,
           [](good_cpu& cpu) { cpu.state.has_nmi_handler = false; });
    expect(fault::page_fault_handler, X86_VECTOR_PF,
           [](good_cpu& cpu) { cpu.state.has_page_fault_handler = false; });
#ifndef NMISAFE_SHADOW_STACK
    expect(fault::shadow_stack, 0, [](good_cpu& cpu) { cpu.state.has_shadow_stack = true; });
#endif
    expect(fault::gs_base, X86_VECTOR_NMI, [](good_cpu& cpu) { cpu.state.gs += 8; });
}

#ifdef __x86_64__

TEST_CASE("IST stacks") {
    constexpr uint8_t vectors[] = {X86_VECTOR_NMI, X86_VECTOR_DB, X86_VECTOR_DF, X86_VECTOR_MC};
    for (const uint8_t vector : vectors) {
        CAPTURE(vector);
        expect(fault::stack_missing, vector, [=](good_cpu& cpu) { cpu.set_stack(vector, 0); });
        if (vector == X86_VECTOR_NMI)
            continue;
        const unsigned number = good_cpu::stack_of(vector);
        expect(fault::stack_shared, vector,
               [=](good_cpu& cpu) { cpu.set_stack(vector, trap::nmi_ist); });
        for (const uint64_t bad : {uint64_t{0}, uint64_t{0x10008}, uint64_t{1} << 47})
            expect(fault::stack_bad, vector,
                   [=](good_cpu& cpu) { cpu.block().tss.ist[number - 1] = bad; });
    }
    expect(fault::stack_number, X86_VECTOR_NMI,
           [](good_cpu& cpu) { cpu.set_stack(X86_VECTOR_NMI, 5); });
    expect(fault::stack_unwanted, X86_VECTOR_PF,
           [](good_cpu& cpu) { cpu.set_stack(X86_VECTOR_PF, 6); });
    expect(fault::stack_unwanted, 255, [](good_cpu& cpu) { cpu.set_stack(255, 1); });
    expect(fault::stack_close, X86_VECTOR_DF, [](good_cpu& cpu) {
        cpu.block().tss.ist[2] = cpu.block().tss.ist[1] + trap::smallest_stack - 16;
    });
    expect(fault::none, 0, [](good_cpu& cpu) {
        cpu.block().tss.ist[2] = cpu.block().tss.ist[1] + trap::smallest_stack;
    });
}

TEST_CASE("the NMI's block") {
    expect(fault::nmi_block, X86_VECTOR_NMI,
           [](good_cpu& cpu) { cpu.block().tss.ist[trap::nmi_ist - 1] -= 16; });
    expect(fault::fsgsbase, X86_VECTOR_NMI, [](good_cpu& cpu) { cpu.block().has_fsgsbase = 1; });
    expect(fault::none, 0, [](good_cpu& cpu) {
        cpu.block().has_fsgsbase = 1;
        cpu.state.cr4 = X86_CR4_FSGSBASE;
    });
    expect(fault::fred, 0, [](good_cpu& cpu) { cpu.state.cr4 |= uint64_t{1} << 32; });
}

#else

TEST_CASE("the double fault's task") {
    expect(fault::double_fault_task, X86_VECTOR_DF,
           [](good_cpu& cpu) { cpu.set_gate(X86_VECTOR_DF, x86::gate_type::interrupt); });
    for (const uint16_t selector : {task, data, uint16_t{0}})
        expect(fault::double_fault_task, X86_VECTOR_DF, [=](good_cpu& cpu) {
            cpu.set_raw(X86_VECTOR_DF, x86::make_gate_32(0, selector, x86::gate_type::task).bits);
        });
}

#endif

} // namespace

} // namespace nmisafe::setup
