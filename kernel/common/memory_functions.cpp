// SPDX-License-Identifier: MIT
// The four functions that a compiler may call even in freestanding code. Not performance work: a
// string instruction where there is one, so that no compiler turns the loop into a call of itself.
#include "nmisafe/base/std.hpp"

extern "C" {

void* memcpy(void* to, const void* from, size_t size) {
    void* const result = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return result;
}

void* memset(void* to, int value, size_t size) {
    void* const result = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
    return result;
}

void* memmove(void* to, const void* from, size_t size) {
    auto* target = static_cast<unsigned char*>(to);
    auto* source = static_cast<const unsigned char*>(from);
    if (target <= source || target >= source + size)
        return memcpy(to, from, size);
    target += size - 1;
    source += size - 1;
    asm volatile("std\n\trep movsb\n\tcld" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
    return to;
}

int memcmp(const void* left, const void* right, size_t size) {
    auto* const a = static_cast<const unsigned char*>(left);
    auto* const b = static_cast<const unsigned char*>(right);
    for (size_t i = 0; i < size; ++i)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

} // extern "C"
