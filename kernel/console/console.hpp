// SPDX-License-Identifier: MIT
// The console: the emulator's port 0xE9 where there is one, else the first serial port, polled.
#pragma once

#include "kernel/common/text.hpp"

namespace kernel {

/// A number to print as 0x...
struct hex {
    uint64_t value;
};

/// Finds the port. @context thread, once, before print().
void set_up_console();

/// One call's output. While it lives no other CPU's line gets in between, except that an NMI or an
/// exception which interrupts a line of its own CPU writes into it: waiting there would be for
/// ever.
/// @context any
class console_line {
  public:
    console_line();
    ~console_line();
    console_line(const console_line&) = delete;
    console_line& operator=(const console_line&) = delete;

    /// False if another line is in the middle of being written.
    bool is_alone() const { return locked_; }

    void put(char character);
    void put(text string);
    void put(const char* string) { put(text(string)); }
    void put(hex number);
    template <typename Number>
    requires std::is_integral_v<Number>
    void put(Number number) {
        if constexpr (std::is_same_v<Number, bool>) {
            put_decimal(number ? 1 : 0);
        } else if constexpr (std::is_signed_v<Number>) {
            if (number < 0)
                put('-');
            const auto wide = static_cast<uint64_t>(static_cast<int64_t>(number));
            put_decimal(number < 0 ? 0 - wide : wide);
        } else {
            put_decimal(number);
        }
    }

  private:
    void put_decimal(uint64_t number);

    uintptr_t flags_;
    bool locked_;
};

/// Prints its arguments one after the other: text, characters, integers in decimal, hex{number}.
/// One call per line, so that lines of several CPUs stay whole. @context any
template <typename... Parts>
void print(const Parts&... parts) {
    console_line line;
    (line.put(parts), ...);
}

} // namespace kernel
