// SPDX-License-Identifier: MIT
// return_plan.hpp: which images are refused, which go back by SYSRET or SYSEXIT and why the others
// do not: for every bit of flags, selectors and addresses. What a bit means is written from the
// manual, by its number, not from the masks of the code under test. [intel/vol3 2.3; intel/vol2
// SYSRET, SYSEXIT]
#include "nmisafe/user/return_plan.hpp"

#include <doctest/doctest.h>

using namespace nmisafe::user;

namespace {

constexpr uintptr_t code = NMISAFE_USER_CODE_SELECTOR;
constexpr uintptr_t data = NMISAFE_USER_DATA_SELECTOR;
constexpr uintptr_t plain = 0x202; // IF, and the bit that is always 1
constexpr unsigned word_bits = 8 * sizeof(uintptr_t);

constexpr uintptr_t bit(unsigned number) {
    return uintptr_t{1} << number;
}

enum class owner { user, nobody, fixed };

// clang-format off
constexpr owner owner_of_flag[22] = {
    owner::user,   // 0  CF
    owner::fixed,  // 1  always 1
    owner::user,   // 2  PF
    owner::nobody, // 3  reserved
    owner::user,   // 4  AF
    owner::nobody, // 5  reserved
    owner::user,   // 6  ZF
    owner::user,   // 7  SF
    owner::user,   // 8  TF
    owner::fixed,  // 9  IF: on in user mode
    owner::user,   // 10 DF
    owner::user,   // 11 OF
    owner::nobody, // 12 IOPL
    owner::nobody, // 13 IOPL
    owner::user,   // 14 NT
    owner::nobody, // 15 reserved
    owner::user,   // 16 RF
    owner::nobody, // 17 VM
    owner::user,   // 18 AC
    owner::nobody, // 19 VIF
    owner::nobody, // 20 VIP
    owner::user,   // 21 ID
};
// clang-format on

constexpr owner owner_of(unsigned number) {
    return number < 22 ? owner_of_flag[number] : owner::nobody;
}

constexpr unsigned tf = 8, nt = 14, rf = 16;

/// What a fast return takes, as it is after a system call that changed nothing.
struct image {
    uint64_t ip = 0x401002;
    uint64_t sp = 0x402fc0; // SYSEXIT's
    uint64_t cs = code;
    uint64_t flags = plain;
    uint64_t ip_register = 0x401002;
    uint64_t sp_register = 0x402fc0;
    uint64_t flags_register = plain; // SYSRET's
};

bool by_sysret(const image& of, bool check_canonical = true, bool check_step = true) {
    return may_return_by_sysret(of.ip, of.cs, of.flags, of.ip_register, of.flags_register,
                                check_canonical, check_step);
}

bool by_sysexit(const image& of, bool check_step = true) {
    return may_return_by_sysexit(static_cast<uint32_t>(of.ip), static_cast<uint32_t>(of.sp),
                                 static_cast<uint32_t>(of.cs), static_cast<uint32_t>(of.flags),
                                 static_cast<uint32_t>(of.ip_register),
                                 static_cast<uint32_t>(of.sp_register), check_step);
}

constexpr uint64_t bit64(unsigned number) {
    return uint64_t{1} << number;
}

} // namespace

TEST_CASE("images of the user's are not refused") {
    CHECK(why_refused(code, data, plain) == refusal::none);
    CHECK(why_refused(3, data, plain) == refusal::none); // its fault is the task's
}

TEST_CASE("a code selector of another ring is refused") {
    for (uintptr_t level = 0; level < 4; ++level)
        CHECK(why_refused((code & ~uintptr_t{3}) | level, data, plain) ==
              (level == 3 ? refusal::none : refusal::code_level));
}

TEST_CASE("every other stack selector is refused, and bits above a selector are none of it") {
    for (unsigned number = 0; number < word_bits; ++number)
        CHECK(why_refused(code, data ^ bit(number), plain) ==
              (number < 16 ? refusal::stack_segment : refusal::none));
}

TEST_CASE("a flag is refused that is not the user's, or lacks though it is fixed") {
    for (unsigned number = 0; number < word_bits; ++number)
        CHECK(why_refused(code, data, plain ^ bit(number)) ==
              (owner_of(number) == owner::user ? refusal::none : refusal::flags));
}

TEST_CASE("flags that a user has chosen become ones that are not refused") {
    for (unsigned number = 0; number < word_bits; ++number)
        for (const uintptr_t others : {uintptr_t{0}, plain, ~uintptr_t{0}}) {
            const uintptr_t chosen = others ^ bit(number);
            const uintptr_t flags = to_user_flags(chosen);
            CHECK(why_refused(code, data, flags) == refusal::none);
            for (unsigned each = 0; each < word_bits; ++each)
                if (owner_of(each) == owner::user)
                    CHECK((flags & bit(each)) == (chosen & bit(each)));
        }
}

TEST_CASE("the fast returns take what a system call left as it was") {
    CHECK(by_sysret({}));
    CHECK(by_sysexit({}));
}

TEST_CASE("a fast return wants the registers that it loads from") {
    for (unsigned number = 0; number < 64; ++number) {
        image changed;
        changed.ip_register ^= bit64(number);
        CHECK_FALSE(by_sysret(changed));
        CHECK(by_sysexit(changed) == (number >= 32));
        changed = {};
        changed.flags_register ^= bit64(number);
        CHECK_FALSE(by_sysret(changed));
        CHECK(by_sysexit(changed)); // POPF loads them
        changed = {};
        changed.sp_register ^= bit64(number);
        CHECK(by_sysret(changed)); // RSP is loaded from the frame
        CHECK(by_sysexit(changed) == (number >= 32));
    }
}

TEST_CASE("a fast return has one code segment") {
    for (unsigned number = 0; number < 32; ++number) {
        image changed;
        changed.cs ^= bit64(number);
        CHECK(by_sysret(changed) == (number >= 16));
        CHECK(by_sysexit(changed) == (number >= 16));
    }
}

TEST_CASE("SYSRET goes to the user's half alone") {
    for (unsigned number = 0; number < 64; ++number) {
        image changed;
        changed.ip = changed.ip_register = bit64(number);
        CHECK(by_sysret(changed) == (number < 47));
        CHECK(by_sysret(changed, false));
    }
    image last;
    last.ip = last.ip_register = bit64(47) - 1;
    CHECK(by_sysret(last));
}

TEST_CASE("SYSEXIT goes anywhere: it is the user that faults there") {
    image far;
    far.ip = far.ip_register = 0xc0001000;
    far.sp = far.sp_register = 0xf0001000;
    CHECK(by_sysexit(far));
}

TEST_CASE("a fast return sets neither TF nor RF, SYSEXIT's POPF no NT") {
    for (unsigned number = 0; number < 22; ++number) {
        image changed;
        changed.flags ^= bit64(number);
        changed.flags_register = changed.flags;
        const bool traps = number == tf || number == rf;
        CHECK(by_sysret(changed) == !traps);
        CHECK(by_sysexit(changed) == (!traps && number != nt));
        CHECK(by_sysret(changed, true, false));
        CHECK(by_sysexit(changed, false));
    }
}
