// SPDX-License-Identifier: MIT
// The guest's CPU as the plugin sees it. To be used in the CPU's thread alone, in callbacks and in queued work.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tool/torture/plugin/emulator.hpp"
#include "tool/torture/plugin/options.hpp"

namespace nmisafe::torture {

// The numbers that QEMU gives them for gdb, and two more that only its dump has.
enum register_number : unsigned {
    reg_ax = 0,
    reg_dx = 3,
    reg_si = 4,
    reg_sp = 7,
    reg_ip = 16,
    reg_flags = 17,
    reg_cs = 18,
    reg_ss = 19,
    reg_cr2 = 28,
    reg_efer = 32,
    reg_dr6 = 33,
    reg_dr7 = 34,
    register_count = 35
};
extern const char* const register_names[register_count];
using register_values = std::array<uint64_t, register_count>;

class machine {
  public:
    // False as long as the emulator has no such CPU.
    bool attach(unsigned processor);
    cpu_state* cpu() const { return cpu_; }

    uint64_t reg(unsigned number) const;
    uint64_t stack_pointer() const { // asked for at each instruction
        return regs_ == 0 ? reg(reg_sp) : field<uint64_t>(regs_ + 4 * sizeof(uint64_t));
    }
    register_values all_registers() const;
    bool is_wide() const; // long mode, compatibility mode too
    unsigned privilege() const { return static_cast<unsigned>(reg(reg_cs) & 3); }
    // A paravirtualised kernel has privilege 3 too, and is in the upper half.
    bool is_user_program(uint64_t pc) const {
        return privilege() == 3 && (!is_wide() || pc >> 63 == 0);
    }
    bool is_below_32_bits() const; // real mode: no IDT of gates

    uint64_t read_word(uint64_t address) const; // of the width; 0 where there is no memory
    bool read(uint64_t address, void* to, size_t size) const;

    uint64_t idt() const;
    uint64_t gate(unsigned vector) const; // its handler, 0 if there is none
    uint64_t msr_lstar() const;
    uint64_t msr_sysenter_eip() const;
    unsigned timer_vector() const; // of the local APIC; 0: it is off

    // The CPU blocks NMIs. [SDM 3A 6.7.1]
    bool blocks_nmis() const;
    void unblock_nmis() const;
    void set_cr2(uint64_t value) const;
    void raise(event what, unsigned vector) const;

    // From now on each instruction is a block of its own, translated anew. False if this emulator cannot.
    bool step_single_instructions() const;

    // Empty, or what this emulator does not have.
    std::string missing() const;

  private:
    template <typename T>
    T field(uint64_t offset) const {
        return *reinterpret_cast<const T*>(reinterpret_cast<const char*>(cpu_) + offset);
    }

    cpu_state* cpu_ = nullptr;
    byte_array* bytes_ = nullptr;
    uint64_t regs_ = 0, hflags2_ = 0, idt_ = 0, lstar_ = 0, sysenter_eip_ = 0,
             cr2_ = 0; // offsets; 0: not found
};

} // namespace nmisafe::torture
