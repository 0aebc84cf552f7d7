// SPDX-License-Identifier: MIT
/// What the code is that somebody wants to patch: whether it may be, and where its instructions
/// begin. For the checks of apply(), and of who puts probes on instructions.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/x86/instruction.hpp"

// The library's own code that no probe may touch (I12): entry, return, breakpoint handlers.
extern "C" const char __start_nmisafe_trap_text[];
extern "C" const char __stop_nmisafe_trap_text[];

namespace nmisafe::text_patch {

/// Whether all of it is code. An address near the end of the address space does not wrap around to
/// one below the text. @context any
inline bool is_code(uintptr_t begin, uintptr_t end) {
    return begin < end && platform::contract::is_text(begin, end);
}

/// Whether none of it is code that a breakpoint must not hit: the library's own on the way to a
/// breakpoint's handler, and what the platform names. @context any
inline bool may_be_changed(uintptr_t begin, uintptr_t end) {
    return (end <= reinterpret_cast<uintptr_t>(__start_nmisafe_trap_text) ||
            begin >= reinterpret_cast<uintptr_t>(__stop_nmisafe_trap_text)) &&
           !platform::contract::is_no_probe(begin, end);
}

/// Whether a breakpoint may stand behind an instruction of this kind. MOV to SS and POP SS hold
/// everything off until the one behind them has set the stack pointer: INT3 would push its frame to
/// a stack that is not there. @context any
constexpr bool breakpoint_may_follow(x86::instruction_class before) {
    return before != x86::instruction_class::load_stack_segment;
}

/// Code as somebody reads it who knows more of it than the platform.
struct code_view {
    /// Whether all of it is code that may be read.
    bool (*is_code)(uintptr_t begin, uintptr_t end);
    /// Puts instructions' own bytes where breakpoints have been read. Null: an INT3 on the way ends
    /// a walk, since what it stands on is not known.
    void (*restore)(uintptr_t address, uint8_t* bytes, size_t size);
};

/// For those who read code that others may patch meanwhile: where a patch is half done, no
/// instruction can be told. Made before, asked afterwards.
/// @context thread
class quiet_text {
  public:
    quiet_text();
    /// Whether no batch has been at work since.
    bool holds() const;

  private:
    uint32_t batches_;
    bool was_quiet_;
};

enum class walk_error : uint8_t {
    not_text = 1,        ///< The walk leaves the code.
    unknown_instruction, ///< The decoder refuses one, or one on the way may be a probe's INT3.
    not_boundary,        ///< The walk does not come to the address, or begins behind it.
};

struct decoded {
    uint8_t bytes[x86::maximum_instruction_length]; ///< Those behind the instruction mean nothing.
    x86::instruction what;
};

/// The instruction at an address. @context thread
base::expected<decoded, walk_error> decode_at(uintptr_t address, const code_view& view);

struct walked {
    x86::instruction_class last; ///< Of the instruction before `to`; `ordinary` if there is none.
    uintptr_t middle;            ///< Of the boundaries, the first that is at least halfway.
};

/// Decodes one instruction after the other, from one that begins at `from` until `to`.
/// @context thread
base::expected<walked, walk_error> walk(uintptr_t from, uintptr_t to, const code_view& view);

} // namespace nmisafe::text_patch
