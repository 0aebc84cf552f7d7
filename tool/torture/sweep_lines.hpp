// SPDX-License-Identifier: MIT
// What the plugin says while it sweeps, line by line.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tool/torture/verdict.hpp"

namespace nmisafe::tool::torture {

class sweep_lines {
  public:
    // Takes what came through the pipe: whole lines or not.
    void take(std::string_view bytes);

    bool is_armed() const { return width_ != 0; }
    bool has_printed() const { return has_printed_; }
    bool has_passed_16_bit_code() const {
        return has_passed_16_bit_code_;
    } // where the path would begin
    unsigned width() const { return width_; }
    bool is_over() const { return is_over_; }
    const std::string& error() const {
        return error_;
    } // why the plugin gave up, or what is wrong with a line
    const std::vector<std::uint64_t>& path() const { return path_; }
    const std::map<std::uint64_t, std::vector<std::uint8_t>>& code() const { return code_; }
    const std::vector<boundary>& boundaries() const { return boundaries_; }
    std::vector<boundary>& boundaries() { return boundaries_; }
    double cpu_seconds() const { return cpu_seconds_; }
    std::uint64_t deaths() const { return deaths_; }
    // By other CPUs in the guest's passes.
    std::uint64_t instructions_of_others() const { return instructions_of_others_; }

  private:
    void take_line(const std::string& text);

    std::string rest_;
    unsigned width_ = 0;
    bool has_printed_ = false;
    bool has_passed_16_bit_code_ = false;
    bool is_over_ = false;
    std::string error_;
    std::vector<std::uint64_t> path_;
    std::map<std::uint64_t, std::vector<std::uint8_t>> code_;
    std::vector<boundary> boundaries_;
    double cpu_seconds_ = 0;
    std::uint64_t deaths_ = 0, instructions_of_others_ = 0;
};

} // namespace nmisafe::tool::torture
