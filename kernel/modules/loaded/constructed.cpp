// SPDX-License-Identifier: MIT
// A module with static constructors and destructors: init finds that the former have run, in their
// order.
#include "nmisafe/module_loader/declare.hpp"

NMISAFE_MODULE_NAME("constructed");

namespace {

int calls[3];
int called;

[[gnu::constructor(101)]] void first() {
    calls[called++] = 101;
}
[[gnu::constructor(102)]] void second() {
    calls[called++] = 102;
}

/// Its value is known at run time only.
struct global {
    int value = called;
    global() { calls[called++] = 103; }
};
global third;

[[gnu::destructor]] void last() {
    called = 0;
}

} // namespace

bool nmisafe_module_init() {
    return called == 3 && third.value == 2 && calls[0] == 101 && calls[1] == 102 && calls[2] == 103;
}
