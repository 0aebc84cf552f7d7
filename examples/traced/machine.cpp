// SPDX-License-Identifier: MIT
#include "machine.hpp"

#include "nmisafe_platform.hpp"

extern "C" {
extern uint64_t directories[2048]; // boot.S
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
int memcmp(const void* one, const void* other, size_t size) {
    for (size_t i = 0; i < size; ++i)
        if (const int apart =
                static_cast<const uint8_t*>(one)[i] - static_cast<const uint8_t*>(other)[i])
            return apart;
    return 0;
}
}

void print(const char* text) {
    for (; *text != 0; ++text)
        nmisafe::x86::out8(0xe9, static_cast<uint8_t>(*text));
}

void print(const char* text, uint32_t number) {
    char digits[11] = {};
    unsigned at = 10;
    do
        digits[--at] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    print(text);
    print(digits + at);
}

/// QEMU's isa-debug-exit.
void stop(uint8_t code) {
    nmisafe::x86::out8(0xf4, code);
    for (;;)
        asm volatile("cli\n\thlt");
}

void panic(const char* what) {
    print(what);
    print("\n");
    stop(1);
}

void map_faulting_page(bool present) {
    directories[faulting_page >> 21] = faulting_page | 0x82 | (present ? 1 : 0);
    asm volatile("invlpg (%[page])" : : [page] "r"(faulting_page) : "memory");
}
