// SPDX-License-Identifier: MIT
// Lines of JSON for the command, each whole in the pipe, from whichever process writes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nmisafe::torture {

class line {
  public:
    explicit line(std::string_view event) : text_("{\"event\":\"") { text_.append(event) += '"'; }
    line& number(std::string_view name, uint64_t value);
    line& address(std::string_view name, uint64_t value); // as text: numbers end at 2^53
    line& truth(std::string_view name, bool value);
    line& text(std::string_view name, std::string_view value); // without quotes in it
    line& raw(std::string_view name, std::string_view json);
    // Writes it. Whoever was to read it is gone if that fails: then this process is of no use.
    void send();

  private:
    void name(std::string_view name);
    std::string text_;
};

std::string hexadecimal(uint64_t value); // "0x12" with the quotes

void send_lines_to(int descriptor);

} // namespace nmisafe::torture
