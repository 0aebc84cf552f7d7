// SPDX-License-Identifier: MIT
// More than pages are aligned to. It says in init whether they are.
#include "nmisafe/base/std.hpp"
#include "nmisafe/module_loader/declare.hpp"

NMISAFE_MODULE_NAME("aligned");

namespace {

alignas(8192) int number = 41;
alignas(65536) char zeros[100];
alignas(0x200000) const int constants[] = {2, 3, 5};

[[gnu::aligned(16384), gnu::noinline]] int function() {
    return ++number;
}

template <typename T>
bool is_at(T* what, uintptr_t alignment) {
    asm volatile("" : "+r"(what)); // the compiler has been told
    return reinterpret_cast<uintptr_t>(what) % alignment == 0;
}

} // namespace

bool nmisafe_module_init() {
    volatile unsigned last = 2;
    return is_at(&number, 8192) && is_at(zeros, 65536) && is_at(constants, 0x200000) &&
           is_at(function, 16384) && function() == 42 && zeros[99] == 0 && constants[last] == 5;
}
