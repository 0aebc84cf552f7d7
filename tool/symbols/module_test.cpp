// SPDX-License-Identifier: MIT
// A module's object file for symbols_test.cpp: its functions' names and lines are looked up.
namespace nmisafe::tool::test {

[[gnu::noinline]] int first_of_module(int a) {
    return a + 1; // line 6
}

[[gnu::noinline, gnu::section(".text.elsewhere")]] int elsewhere_in_module(int a) {
    return first_of_module(a) + 2;
}

} // namespace nmisafe::tool::test
