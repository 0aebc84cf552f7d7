// SPDX-License-Identifier: MIT
#include "tests/guides/machine.hpp"

void panic(const char* what, uintptr_t value) {
    print(what);
    print(": ", value);
    stop(1);
}

// Compilers call them in freestanding code too.
extern "C" void* memcpy(void* to, const void* from, size_t size) {
    void* const result = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}
extern "C" void* memset(void* to, int value, size_t size) {
    void* const result = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}
