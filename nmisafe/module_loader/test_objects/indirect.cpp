// SPDX-License-Identifier: MIT
// A function that is chosen when the program starts.
extern "C" {
static int plain() {
    return 1;
}
int (*choose())() {
    return plain;
}
[[gnu::ifunc("choose")]] int indirect_function();
int use_indirect() {
    return indirect_function();
}
}
