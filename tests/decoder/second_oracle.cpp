// SPDX-License-Identifier: MIT
#include "tests/decoder/second_oracle.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string_view>

// The stable C interface of libLLVM. Its headers come with the development package, which is ten
// times as large as the library. [llvm-c/Disassembler.h]
extern "C" {
void LLVMInitializeX86TargetInfo();
void LLVMInitializeX86TargetMC();
void LLVMInitializeX86Disassembler();
void* LLVMCreateDisasm(const char* triple, void* info, int tag, void* get_info, void* look_up);
size_t LLVMDisasmInstruction(void* disassembler, uint8_t* bytes, uint64_t size, uint64_t address,
                             char* text, size_t text_size);
void LLVMDisasmDispose(void* disassembler);
}

namespace decoder_test {

using nmisafe::x86::width;

second_oracle::second_oracle(width mode) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86Disassembler();
    disassembler_ =
        LLVMCreateDisasm(mode == width::bits_64 ? "x86_64-unknown-none" : "i686-unknown-none",
                         nullptr, 0, nullptr, nullptr);
    if (disassembler_ == nullptr)
        abort();
}

second_oracle::~second_oracle() {
    LLVMDisasmDispose(disassembler_);
}

/// A prefix that it makes nothing of it calls an instruction of its own, so a legacy prefix behind
/// a REX. That is no opinion: the CPU ignores such a REX and goes on. [intel/vol2 2.2.1]
bool second_oracle::is_prefix_alone() const {
    constexpr const char* prefixes[] = {
        "cs",   "ds",     "es",     "fs",     "gs",     "ss",    "rep",      "repne",
        "lock", "data16", "data32", "addr16", "addr32", "rex64", "xacquire", "xrelease"};
    const std::string_view text(text_);
    const size_t last = text.find_last_of(" \t");
    const std::string_view word = last == text.npos ? text : text.substr(last + 1);
    return std::find(std::begin(prefixes), std::end(prefixes), word) != std::end(prefixes);
}

unsigned second_oracle::length(const uint8_t* bytes, size_t available) {
    constexpr size_t most = 15;
    uint8_t copy[most];
    const size_t size = std::min(available, most);
    std::copy_n(bytes, size, copy);
    const size_t length = LLVMDisasmInstruction(disassembler_, copy, size, 0, text_, sizeof text_);
    return is_prefix_alone() ? 0 : static_cast<unsigned>(length);
}

} // namespace decoder_test
