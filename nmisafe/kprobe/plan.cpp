// SPDX-License-Identifier: MIT
// Decides for one instruction how to step over it, and what stands in its slot.
#include "nmisafe/kprobe/internal/leaves_traps_alone.hpp"
#include "nmisafe/kprobe/internal/step.hpp"
#include "nmisafe/x86/instruction.hpp"

namespace nmisafe::kprobe::internal {

namespace {

using base::expected;
using base::unexpected;
using x86::instruction;
using x86::instruction_class;
using x86::opcode_map;

constexpr uint8_t int3 = 0xcc;
constexpr uint8_t ret = 0xc3;

/// The bytes of a plan, one after the other.
class writer {
  public:
    explicit writer(plan& into) : plan_(into) {}

    void put(uint8_t byte) { plan_.code[plan_.code_size++] = byte; }
    void put_word(uint32_t word) {
        for (unsigned i = 0; i < 4; ++i)
            put(static_cast<uint8_t>(word >> 8 * i));
    }
    void end() {
        plan_.what.end = plan_.code_size;
        put(int3);
    }

  private:
    plan& plan_;
};

bool is_nop(const instruction& what) {
    constexpr uint8_t rex_b = 1;
    if (what.map == opcode_map::one_byte && what.opcode == 0x90)
        return !what.has(x86::prefix::repeat) && (what.rex & rex_b) == 0; // PAUSE, XCHG r8
    return what.map == opcode_map::map_0f && what.form == x86::encoding::legacy &&
           what.opcode == 0x1f;
}

/// Copies the instruction, an operand that is relative to it adjusted. @return false: out of range.
bool put_copy(writer& to, const uint8_t* bytes, const instruction& what, uintptr_t address,
              uintptr_t slot) {
    uint32_t displacement = 0;
    if (what.ip_relative) {
        const int64_t moved =
            what.displacement + static_cast<int64_t>(slot == 0 ? 0 : address - slot);
        if (moved != static_cast<int32_t>(moved))
            return false;
        displacement = static_cast<uint32_t>(moved);
    }
    for (uint8_t i = 0; i < what.length;) {
        if (what.ip_relative && i == what.displacement_offset) {
            to.put_word(displacement);
            i = static_cast<uint8_t>(i + 4);
        } else {
            to.put(bytes[i++]);
        }
    }
    return true;
}

/// Pushes the operand of an indirect CALL or JMP: the same instruction, but for three bits of
/// ModRM.
bool put_push_of_operand(writer& to, const uint8_t* bytes, const instruction& what,
                         uintptr_t address, uintptr_t slot) {
    constexpr uint8_t push_operand = 6 << 3; // FF /6
    uint8_t push[x86::maximum_instruction_length];
    for (uint8_t i = 0; i < what.length; ++i)
        push[i] = bytes[i];
    push[what.modrm_offset] = static_cast<uint8_t>((what.modrm & ~0x38) | push_operand);
    return put_copy(to, push, what, address, slot);
}

/// Needs no register and no flag. On x86-64 the upper half follows the push: in between, only who
/// walks the stack sees it.
void put_push_of_address(writer& to, uintptr_t address) {
    to.put(0x68); // push imm32, which is sign-extended
    to.put_word(static_cast<uint32_t>(address));
    if constexpr (x86::is_64_bit) {
        constexpr uint8_t store_high[] = {0xc7, 0x44, 0x24, 0x04}; // movl imm32, 4(%rsp)
        for (const uint8_t byte : store_high)
            to.put(byte);
        to.put_word(static_cast<uint32_t>(uint64_t{address} >> 32));
    }
}

bool is_branch(instruction_class kind) {
    return x86::is_relative_branch(kind) || kind == instruction_class::jump_indirect ||
           kind == instruction_class::call_indirect || kind == instruction_class::return_near;
}

/// What it takes to execute it, or `unsupported`.
expected<way, probe_error> choose_way(const instruction& what) {
    constexpr uint8_t repeats = x86::prefix::repeat | x86::prefix::repeat_not_equal;
    constexpr uint8_t rex_w = 8;
    // Cuts the new instruction pointer to 16 bits, unless REX.W overrides it. (In 64-bit mode the
    // decoder refuses it without.)
    if (is_branch(what.kind) && what.has(x86::prefix::operand_size) && (what.rex & rex_w) == 0)
        return unexpected(probe_error::unsupported);
    switch (what.kind) {
    case instruction_class::ordinary:
        return is_nop(what) ? way::skip : way::copy;
    case instruction_class::push_flags:
    case instruction_class::pop_flags:
    case instruction_class::disable_interrupts:
    case instruction_class::enable_interrupts:
    case instruction_class::port_io:
        return way::copy;
    case instruction_class::jump_relative:
    case instruction_class::jump_absolute:
        return way::jump;
    case instruction_class::jump_conditional:
        return way::conditional_jump;
    case instruction_class::loop:
        return way::loop;
    case instruction_class::jump_cx_zero:
        return way::jump_cx_zero;
    case instruction_class::call_relative:
        return way::call;
    case instruction_class::return_near:
        return way::return_near;
    case instruction_class::call_indirect:
    case instruction_class::jump_indirect:
        if ((what.prefixes & repeats) != 0) // BND, which a push does not take
            break;
        return what.kind == instruction_class::call_indirect ? way::call_indirect
                                                             : way::jump_indirect;
    case instruction_class::system:
    case instruction_class::virtual_machine:
        if (leaves_traps_alone(what))
            return way::copy;
        break;
    case instruction_class::far_branch:
    case instruction_class::return_far:
    case instruction_class::interrupt_return:
    case instruction_class::breakpoint:
    case instruction_class::software_interrupt:
    case instruction_class::undefined:
    case instruction_class::load_stack_segment:
    case instruction_class::halt:
    case instruction_class::system_call:
    case instruction_class::other_transfer:
    case instruction_class::transaction:
        break;
    }
    return unexpected(probe_error::unsupported);
}

} // namespace

expected<plan, probe_error> make_plan(const uint8_t* bytes, const instruction& what,
                                      uintptr_t address, uintptr_t slot) {
    const auto how = choose_way(what);
    if (!how)
        return unexpected(how.error());
    plan result{};
    result.what.how = *how;
    result.what.length = what.length;
    result.what.opcode = what.opcode;
    result.what.short_counter = what.has(x86::prefix::address_size);
    const uintptr_t next = address + what.length;
    if (x86::is_relative_branch(what.kind))
        result.what.target = next + static_cast<uintptr_t>(what.immediate);
    if (what.kind == instruction_class::jump_absolute)
        result.what.target = static_cast<uintptr_t>(what.immediate);
    writer to(result);
    bool in_range = true;
    switch (*how) {
    case way::copy:
        in_range = put_copy(to, bytes, what, address, slot);
        to.end();
        break;
    case way::call:
        put_push_of_address(to, next);
        to.end();
        break;
    case way::call_indirect:
    case way::jump_indirect:
        in_range = put_push_of_operand(to, bytes, what, address, slot);
        to.end();
        if (*how == way::jump_indirect)
            to.put(ret);
        break;
    case way::return_near:
        result.what.released = static_cast<uint16_t>(what.immediate);
        in_range = put_copy(to, bytes, what, address, slot);
        break;
    case way::skip:
    case way::jump:
    case way::conditional_jump:
    case way::loop:
    case way::jump_cx_zero:
        break;
    }
    if (!in_range)
        return unexpected(probe_error::out_of_range);
    return result;
}

} // namespace nmisafe::kprobe::internal
