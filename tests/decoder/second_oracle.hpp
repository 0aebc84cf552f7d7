// SPDX-License-Identifier: MIT
/// LLVM's disassembler, for what Zydis does not know: APX, and what came after it. It is laxer than
/// Zydis about instructions that are #UD, so only its lengths count.
#pragma once

#include "nmisafe/x86/width.hpp"

#include <cstddef>
#include <cstdint>

namespace decoder_test {

class second_oracle {
  public:
    explicit second_oracle(nmisafe::x86::width mode);
    ~second_oracle();
    second_oracle(const second_oracle&) = delete;
    second_oracle& operator=(const second_oracle&) = delete;

    /// 0: it refuses them.
    unsigned length(const uint8_t* bytes, size_t available);
    /// Of the last instruction.
    const char* text() const { return text_; }

  private:
    bool is_prefix_alone() const;

    void* disassembler_;
    char text_[256];
};

} // namespace decoder_test
