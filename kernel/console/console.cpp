// SPDX-License-Identifier: MIT
#include "kernel/console/console.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/panic/panic.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/x86/port.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

constexpr uint16_t debug_port = 0xe9; // reads as its own number where an emulator has it
constexpr uint16_t serial_port = 0x3f8;
constexpr uint16_t serial_interrupts = serial_port + 1;
constexpr uint16_t serial_fifo = serial_port + 2;
constexpr uint16_t serial_line_control = serial_port + 3;
constexpr uint16_t serial_line_status = serial_port + 5;
constexpr uint8_t serial_can_send = 0x20;

bool has_debug_port;
uint32_t line_owner; // CPU id + 1 of the line being written, 0 if none

/// An NMI handler gives another CPU time to end its line, no more: that CPU may be in an NMI
/// handler of its own that waits for this one.
constexpr uint32_t most_pauses_in_nmi = 1'000'000;

/// False if waiting would be pointless: this CPU itself is in the middle of a line, or must not
/// wait on.
bool take_line() {
    const uint32_t self = this_cpu().id + 1;
    const bool in_nmi = context::in_nmi();
    for (uint32_t pauses = 0;; ++pauses) {
        uint32_t owner = 0;
        if (__atomic_compare_exchange_n(&line_owner, &owner, self, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
        if (owner == self || panicking() || (in_nmi && pauses == most_pauses_in_nmi))
            return false;
        x86::pause();
    }
}

} // namespace

void set_up_console() {
    has_debug_port = x86::in8(debug_port) == debug_port;
    if (has_debug_port)
        return;
    x86::out8(serial_interrupts, 0);
    x86::out8(serial_line_control, 0x80); // divisor latch: 1 = 115200 baud
    x86::out8(serial_port, 1);
    x86::out8(serial_interrupts, 0);
    x86::out8(serial_line_control, 0x03); // 8 data bits, no parity, one stop bit
    x86::out8(serial_fifo, 0x07);         // on, cleared
}

console_line::console_line() : flags_(x86::read_flags()) {
    x86::disable_interrupts();
    locked_ = take_line();
}

console_line::~console_line() {
    if (locked_)
        __atomic_store_n(&line_owner, 0, __ATOMIC_RELEASE);
    if ((flags_ & X86_FLAGS_IF) != 0)
        x86::enable_interrupts();
}

void console_line::put(char character) {
    if (has_debug_port) {
        x86::out8(debug_port, static_cast<uint8_t>(character));
        return;
    }
    while ((x86::in8(serial_line_status) & serial_can_send) == 0)
        x86::pause();
    x86::out8(serial_port, static_cast<uint8_t>(character));
}

void console_line::put(text string) {
    for (const char character : string)
        put(character);
}

void console_line::put(hex number) {
    put("0x");
    unsigned digits = 1;
    while (digits < 16 && (number.value >> (4 * digits)) != 0)
        ++digits;
    while (digits != 0) {
        --digits;
        put("0123456789abcdef"[number.value >> (4 * digits) & 0xf]);
    }
}

/// Divides by ten in 16-bit limbs: a 64-bit division on x86-32 would be a call into libgcc.
void console_line::put_decimal(uint64_t number) {
    char digits[20];
    size_t count = 0;
    do {
        uint32_t remainder = 0;
        uint64_t quotient = 0;
        for (int limb = 3; limb >= 0; --limb) {
            const uint32_t part = remainder << 16 | (number >> (16 * limb) & 0xffff);
            quotient |= uint64_t{part / 10} << (16 * limb);
            remainder = part % 10;
        }
        digits[count++] = static_cast<char>('0' + remainder);
        number = quotient;
    } while (number != 0);
    while (count != 0)
        put(digits[--count]);
}

} // namespace kernel
