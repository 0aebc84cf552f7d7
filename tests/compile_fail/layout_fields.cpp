// SPDX-License-Identifier: MIT
// Every check of a preempt-count layout, made to fail once.
//
// error 1: preempt leaves the 32-bit word
// error 2: softirq leaves the 32-bit word
// error 3: hardirq leaves the 32-bit word
// error 4: nmi leaves the 32-bit word
// error 5: preempt_active leaves the 32-bit word
// error 6: need_resched leaves the 32-bit word
// error 7: preempt has no bits
// error 8: softirq has no bits
// error 9: hardirq has no bits
// error 10: nmi has no bits
// error 11: preempt and softirq collide
// error 12: preempt and hardirq collide
// error 13: preempt and nmi collide
// error 14: softirq and hardirq collide
// error 15: softirq and nmi collide
// error 16: hardirq and nmi collide
// error 17: preempt and preempt_active collide
// error 18: softirq and preempt_active collide
// error 19: hardirq and preempt_active collide
// error 20: nmi and preempt_active collide
// error 21: preempt and need_resched collide
// error 22: softirq and need_resched collide
// error 23: hardirq and need_resched collide
// error 24: nmi and need_resched collide
// error 25: preempt_active and need_resched collide
// error 26: hardirq or softirq is too low
// error 27: hardirq or softirq is too low
// error 28: nmi is too low
// error 29: preempt_active is too low
// error 30: need_resched is too low
// error 31: preempt_active is one bit
// error 32: need_resched is one bit
#include "nmisafe/context/layout.hpp"

using nmisafe::context::field;

// clang-format off
constexpr field tables[][6] = {
    // preempt, softirq, hardirq, nmi, preempt_active, need_resched: each {shift, bits}
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {31, 1}}, // 0
    {{25, 8}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {31, 1}}, // 1
    {{0, 8}, {25, 8}, {16, 4}, {20, 4}, {28, 1}, {31, 1}}, // 2
    {{0, 8}, {8, 8}, {16, 17}, {20, 4}, {28, 1}, {31, 1}}, // 3
    {{0, 8}, {8, 8}, {16, 4}, {29, 4}, {28, 1}, {31, 1}}, // 4
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {32, 1}, {31, 1}}, // 5
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {32, 1}}, // 6
    {{0, 0}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {31, 1}}, // 7
    {{0, 8}, {8, 0}, {16, 4}, {20, 4}, {28, 1}, {31, 1}}, // 8
    {{0, 8}, {8, 8}, {16, 0}, {20, 4}, {28, 1}, {31, 1}}, // 9
    {{0, 8}, {8, 8}, {16, 4}, {20, 0}, {28, 1}, {31, 1}}, // 10
    {{0, 8}, {7, 9}, {16, 4}, {20, 4}, {28, 1}, {31, 1}}, // 11
    {{0, 1}, {8, 8}, {0, 4}, {20, 4}, {28, 1}, {31, 1}}, // 12
    {{0, 8}, {8, 8}, {16, 4}, {7, 1}, {28, 1}, {31, 1}}, // 13
    {{0, 8}, {8, 8}, {15, 5}, {20, 4}, {28, 1}, {31, 1}}, // 14
    {{0, 8}, {8, 8}, {16, 4}, {15, 1}, {28, 1}, {31, 1}}, // 15
    {{0, 8}, {8, 8}, {16, 5}, {20, 4}, {28, 1}, {31, 1}}, // 16
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {7, 1}, {31, 1}}, // 17
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {15, 1}, {31, 1}}, // 18
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {19, 1}, {31, 1}}, // 19
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {23, 1}, {31, 1}}, // 20
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {7, 1}}, // 21
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {15, 1}}, // 22
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {19, 1}}, // 23
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {23, 1}}, // 24
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {28, 1}}, // 25
    {{0, 8}, {16, 4}, {8, 8}, {20, 4}, {28, 1}, {31, 1}}, // 26
    {{8, 8}, {0, 8}, {16, 4}, {20, 4}, {28, 1}, {31, 1}}, // 27
    {{0, 7}, {8, 8}, {16, 4}, {7, 1}, {28, 1}, {31, 1}}, // 28
    {{0, 7}, {8, 8}, {16, 4}, {20, 4}, {7, 1}, {31, 1}}, // 29
    {{0, 7}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {7, 1}}, // 30
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {26, 2}, {31, 1}}, // 31
    {{0, 8}, {8, 8}, {16, 4}, {20, 4}, {28, 1}, {30, 2}}, // 32
};
// clang-format on

struct tested {
    static constexpr field preempt = tables[EXPECT_ERROR][0];
    static constexpr field softirq = tables[EXPECT_ERROR][1];
    static constexpr field hardirq = tables[EXPECT_ERROR][2];
    static constexpr field nmi = tables[EXPECT_ERROR][3];
    static constexpr field preempt_active = tables[EXPECT_ERROR][4];
    static constexpr field need_resched = tables[EXPECT_ERROR][5];
};

static_assert(nmisafe::context::layout<tested>);
