// SPDX-License-Identifier: MIT
// return_plan.hpp: which images are plain and why the others are not, for every flag bit and kind
// of CS; when RF matters, for every DR7; and the return of each policy.
#include "nmisafe/trap/return_plan.hpp"

#include <doctest/doctest.h>

using namespace nmisafe::trap;

namespace {

constexpr uint16_t kernel_cs = 0x08;
constexpr uintptr_t plain_flags = X86_FLAGS_FIXED;
constexpr unsigned word_bits = 8 * sizeof(uintptr_t);

constexpr uintptr_t bit(unsigned number) {
    return uintptr_t{1} << number;
}

// clang-format off
/// What a flag says about the image when it is the only one that differs from a plain one. Written
/// from the manual, by bit number, not from the masks of the code under test. [intel/vol3 2.3]
constexpr iret_reason reason_of_bit[22] = {
    iret_reason::none,         // 0  CF
    iret_reason::corrupt,      // 1  always 1: missing
    iret_reason::none,         // 2  PF
    iret_reason::none,         // 3  reserved, POPF ignores it
    iret_reason::none,         // 4  AF
    iret_reason::none,         // 5  reserved, POPF ignores it
    iret_reason::none,         // 6  ZF
    iret_reason::none,         // 7  SF
    iret_reason::trap_flag,    // 8  TF
    iret_reason::none,         // 9  IF
    iret_reason::none,         // 10 DF
    iret_reason::none,         // 11 OF
    iret_reason::none,         // 12 IOPL
    iret_reason::none,         // 13 IOPL
    iret_reason::nested_task,  // 14 NT
    iret_reason::none,         // 15 reserved, POPF ignores it
    iret_reason::none,         // 16 RF: DR7 decides
    iret_reason::virtual_8086, // 17 VM
    iret_reason::none,         // 18 AC
    iret_reason::none,         // 19 VIF
    iret_reason::none,         // 20 VIP
    iret_reason::none,         // 21 ID
};
// clang-format on

constexpr iret_reason expected_reason(unsigned number) {
    if (number == 17 && sizeof(uintptr_t) == 8)
        return iret_reason::corrupt; // long mode has no VM
    return number < 22 ? reason_of_bit[number] : iret_reason::corrupt;
}

/// Images worth combining: every flag that decides, one that does not, one reserved bit.
constexpr unsigned combined_bits[] = {0, 1, 8, 9, 14, 16, 17, 21, 22, word_bits - 1};
constexpr unsigned combined_count = sizeof combined_bits / sizeof combined_bits[0];

constexpr uintptr_t combination(unsigned selected) {
    uintptr_t flags = 0;
    for (unsigned i = 0; i < combined_count; ++i) {
        if ((selected >> i & 1) != 0)
            flags |= bit(combined_bits[i]);
    }
    return flags;
}

static_assert(is_plain(plain_flags, kernel_cs, kernel_cs));
static_assert(why_not_plain(plain_flags, kernel_cs, kernel_cs) == iret_reason::none);
static_assert(!instruction_breakpoint_armed(X86_DR7_DISARMED));
static_assert(plain_return(return_policy::near, plain_flags, false) == return_kind::near);

} // namespace

TEST_CASE("each bit of the flags word") {
    for (unsigned number = 0; number < word_bits; ++number) {
        CAPTURE(number);
        const uintptr_t flags = plain_flags ^ bit(number);
        const iret_reason reason = expected_reason(number);
        CHECK(why_not_plain(flags, kernel_cs, kernel_cs) == reason);
        CHECK(is_plain(flags, kernel_cs, kernel_cs) == (reason == iret_reason::none));
    }
}

TEST_CASE("the quick test and the reason agree on every combination") {
    // Selectors: the kernel's, none, other code at levels 0 to 3, the kernel's at another level.
    constexpr uint16_t selectors[] = {kernel_cs, 0, 3, 0x10, 0x1b, 0x23, 0x33, 0x09, 0x0a, 0x0b};
    unsigned plain = 0;
    for (unsigned selected = 0; selected < 1U << combined_count; ++selected) {
        const uintptr_t flags = combination(selected);
        for (const uint16_t cs : selectors) {
            CAPTURE(flags);
            CAPTURE(cs);
            const bool quick = is_plain(flags, cs, kernel_cs);
            REQUIRE(quick == (why_not_plain(flags, cs, kernel_cs) == iret_reason::none));
            plain += quick ? 1 : 0;
        }
    }
    CHECK(plain == 1U << 4); // CF, IF, RF and ID are free, with one selector of the ten
}

TEST_CASE("the most serious reason wins") {
    const uintptr_t all = X86_FLAGS_TF | X86_FLAGS_NT | X86_FLAGS_VM | plain_flags;
    const uint16_t user_cs = 0x1b;
    CHECK(why_not_plain(all | bit(22), user_cs, kernel_cs) == iret_reason::corrupt);
    CHECK(why_not_plain(all & ~uintptr_t{X86_FLAGS_FIXED}, user_cs, kernel_cs) ==
          iret_reason::corrupt);
    CHECK(why_not_plain(all, user_cs, kernel_cs, false) == iret_reason::virtual_8086);
    CHECK(why_not_plain(all, user_cs, kernel_cs, true) == iret_reason::corrupt);
    CHECK(why_not_plain(all & ~uintptr_t{X86_FLAGS_VM}, user_cs, kernel_cs) ==
          iret_reason::other_segment);
    CHECK(why_not_plain(X86_FLAGS_TF | X86_FLAGS_NT | plain_flags, kernel_cs, kernel_cs) ==
          iret_reason::trap_flag);
    CHECK(why_not_plain(X86_FLAGS_NT | plain_flags, kernel_cs, kernel_cs) ==
          iret_reason::nested_task);
}

TEST_CASE("each code segment") {
    for (unsigned cs = 0; cs <= 0xffff; ++cs) {
        const unsigned level = cs & 3;
        iret_reason reason = iret_reason::other_segment;
        if (level == 1 || level == 2 || cs < 4) // cs < 4: a null selector
            reason = iret_reason::corrupt;
        else if (cs == kernel_cs)
            reason = iret_reason::none;
        CAPTURE(cs);
        REQUIRE(why_not_plain(plain_flags, cs, kernel_cs) == reason);
        REQUIRE(is_plain(plain_flags, cs, kernel_cs) == (cs == kernel_cs));
        // In virtual-8086 mode any value is a real-mode segment.
        REQUIRE(why_not_plain(plain_flags | X86_FLAGS_VM, cs, kernel_cs, false) ==
                iret_reason::virtual_8086);
    }
}

TEST_CASE("what the CPU leaves in the upper bits of the CS word does not matter") {
    for (unsigned number = 16; number < word_bits; ++number) {
        CAPTURE(number);
        CHECK(is_plain(plain_flags, kernel_cs | bit(number), kernel_cs));
        CHECK(why_not_plain(plain_flags, kernel_cs | bit(number), kernel_cs) == iret_reason::none);
    }
}

TEST_CASE("a caller may decide on other flags") {
    const uintptr_t with_rf = decided_flags | X86_FLAGS_RF;
    CHECK_FALSE(is_plain(plain_flags | X86_FLAGS_RF, kernel_cs, kernel_cs, with_rf));
    CHECK(is_plain(plain_flags, kernel_cs, kernel_cs, with_rf));
    const uintptr_t without_tf = decided_flags & ~uintptr_t{X86_FLAGS_TF};
    CHECK(is_plain(plain_flags | X86_FLAGS_TF, kernel_cs, kernel_cs, without_tf));
    CHECK_FALSE(is_plain(plain_flags | X86_FLAGS_NT, kernel_cs, kernel_cs, without_tf));
}

TEST_CASE("RF matters exactly when an instruction breakpoint is enabled: every enable and type") {
    // L and G bits and R/W field of DR0 to DR3. [intel/vol3 17.2.4]
    constexpr uintptr_t enables[] = {0x03, 0x0c, 0x30, 0xc0};
    constexpr uintptr_t types[] = {0x00030000, 0x00300000, 0x03000000, 0x30000000};
    // Bits that say nothing about it: LE, GE, the fixed bit, RTM, GD, and the four LEN fields.
    constexpr uintptr_t others[] = {0, 0x0400, 0x2f00, 0xcccc0000, 0xccccff00};
    for (uintptr_t enabled = 0; enabled < 0x100; ++enabled) {
        for (unsigned packed = 0; packed < 0x100; ++packed) {
            uintptr_t control = enabled;
            for (unsigned i = 0; i < 4; ++i)
                control |= uintptr_t{packed >> (2 * i) & 3} << (16 + 4 * i);
            bool armed = false;
            for (unsigned i = 0; i < 4; ++i)
                armed = armed || ((control & enables[i]) != 0 && (control & types[i]) == 0);
            for (const uintptr_t other : others) {
                CAPTURE(control | other);
                REQUIRE(instruction_breakpoint_armed(control | other) == armed);
            }
        }
    }
}

TEST_CASE("the return of each policy") {
    const uintptr_t off = plain_flags;
    const uintptr_t on = plain_flags | X86_FLAGS_IF;
    for (const bool in_nmi : {false, true}) {
        CAPTURE(in_nmi);
        CHECK(plain_return(return_policy::iret, off, in_nmi) == return_kind::iret);
        CHECK(plain_return(return_policy::iret, on, in_nmi) == return_kind::iret);
        CHECK(plain_return(return_policy::far, off, in_nmi) == return_kind::far);
        CHECK(plain_return(return_policy::far, on, in_nmi) == return_kind::far_sti);
        CHECK(plain_return(return_policy::near, off, in_nmi) == return_kind::near);
        CHECK(plain_return(return_policy::near, on, in_nmi) == return_kind::near_sti);
    }
    CHECK(plain_return(return_policy::far_nmi_count, off, true) == return_kind::far);
    CHECK(plain_return(return_policy::far_nmi_count, on, true) == return_kind::far_sti);
    CHECK(plain_return(return_policy::far_nmi_count, off, false) == return_kind::iret);
    CHECK(plain_return(return_policy::far_nmi_count, on, false) == return_kind::iret);
}

TEST_CASE("no flag but IF changes the kind of return") {
    for (const return_policy policy : {return_policy::iret, return_policy::far, return_policy::near,
                                       return_policy::far_nmi_count}) {
        for (unsigned number = 0; number < word_bits; ++number) {
            if (bit(number) == X86_FLAGS_IF)
                continue;
            CAPTURE(number);
            for (const bool in_nmi : {false, true})
                CHECK(plain_return(policy, plain_flags ^ bit(number), in_nmi) ==
                      plain_return(policy, plain_flags, in_nmi));
        }
    }
}
