// SPDX-License-Identifier: MIT
/// Compares the decoder with Zydis and LLVM, one string of bytes at a time, and counts.
///
/// What the decoder accepts Zydis must accept, with the same length, parts and class, or else LLVM,
/// with the same length. Where it may accept what is #UD (instruction.hpp), one of them must know
/// the opcode at least. What is cut off within an instruction must be `truncated`, and the decoder
/// must not read beyond it. What it refuses is only counted, by kind of instruction, against what
/// they accept.
#pragma once

#include "nmisafe/x86/instruction.hpp"
#include "tests/decoder/second_oracle.hpp"

#include <Zydis/Zydis.h>
#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace decoder_test {

/// Kinds of instructions that have an acceptance rate of their own.
enum class kind {
    general,
    x87,
    mmx_sse,
    avx,
    avx_512, // with the mask instructions
    other,   // XOP, FMA4, 3DNow!, gathers, AMX, MPX and other extensions
    second,  // what only LLVM knows
    vendor_branch,
    left_out
};
inline constexpr int kinds = 9;
const char* name_of(kind which);

struct tally {
    uint64_t valid = 0; // to Zydis
    uint64_t accepted = 0;

    double rate() const {
        return valid == 0 ? 0 : static_cast<double>(accepted) / static_cast<double>(valid);
    }
};

class oracle {
  public:
    explicit oracle(nmisafe::x86::width mode);
    ~oracle();
    oracle(const oracle&) = delete;
    oracle& operator=(const oracle&) = delete;

    /// The length by Zydis, 0 if it refuses.
    unsigned check(const uint8_t* bytes, size_t available);

    uint64_t strings() const { return strings_; }
    uint64_t differences() const { return differences_; }
    const tally& of(kind which) const { return kinds_[static_cast<int>(which)]; }
    /// By mnemonic, without those of kind left_out and vendor_branch.
    const std::map<std::string, tally>& mnemonics() const;

    /// What was accepted loosely, of an opcode that neither of the two knows.
    std::set<std::string> unknown_opcodes() const;

    void print_summary() const;
    /// False, and said so, if the decoder refuses more of a kind than it should.
    bool accepts_enough() const;

  private:
    void check_accepted(const nmisafe::x86::instruction& ours, const uint8_t* bytes);
    void compare(const nmisafe::x86::instruction& ours, const ZydisDecodedInstruction& theirs,
                 const uint8_t* bytes);
    void check_second(const nmisafe::x86::instruction& ours, const uint8_t* bytes, size_t available,
                      bool known_to_zydis);
    void check_refused(nmisafe::x86::decode_error why, const uint8_t* bytes, size_t available);
    void differ(const std::string& what, const uint8_t* bytes, size_t size);

    nmisafe::x86::width mode_;
    ZydisDecoder decoder_;
    second_oracle llvm_;
    uint8_t* guarded_end_; // the byte here is not accessible
    uint64_t strings_ = 0;
    uint64_t differences_ = 0;
    tally kinds_[kinds];
    uint64_t loose_ = 0; // accepted, and refused by both
    std::set<uint32_t> loose_opcodes_;
    std::set<uint32_t> known_opcodes_;
    tally mnemonics_[ZYDIS_MNEMONIC_MAX_VALUE + 1];
    mutable std::map<std::string, tally> by_name_;
};

} // namespace decoder_test
