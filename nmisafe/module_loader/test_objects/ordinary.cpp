// SPDX-License-Identifier: MIT
// A module as compilers make it when nobody tells them that it is for a kernel:
// position-independent as a program or a library is, with global objects, guards and types to be
// asked for at run time. It looks at itself in init: the test compiles it in many ways.
#include "nmisafe/module_loader/test_objects/features.hpp"

#include "nmisafe/module_loader/declare.hpp"

NMISAFE_MODULE_NAME("ordinary");

int visible = 41; // a library's: another may have one of that name
int visible_zeros[1000];
extern const int visible_constants[4];
const int visible_constants[4] = {2, 3, 5, 7};
[[gnu::weak]] int absent();
[[gnu::weak]] extern int absent_number;
int twice(int value) {
    return 2 * value;
}

namespace {

int hidden = 7;
int hidden_zeros[1000];
const char* const words[] = {"one", "two"};
int (*const functions[])(int) = {twice, [](int value) { return value + hidden; }};
int* const pointers[] = {&visible, &hidden, &program::number};

struct global {
    int value;
    explicit global(int from) : value(program::add(from, 1)) {}
    ~global() { program::calls += value; }
};
global first(10);
global second(first.value * 100);

struct shape {
    virtual ~shape() = default;
    virtual int sides() const { return 0; }
};
struct triangle final : shape {
    int sides() const override { return 3; }
};
triangle a_triangle;

/// Hides from the compiler what it could find out by itself.
template <typename T>
T hidden_from_compiler(T value) {
    asm volatile("" : "+r"(value));
    return value;
}

int with_guard() {
    static const int once = program::add(20, 3);
    return once;
}

int by_table(int which) {
    switch (which) {
    case 0:
        return program::add(1, 2);
    case 1:
        return visible;
    case 2:
        return visible_constants[2];
    case 3:
        return twice(9);
    case 4:
        return hidden;
    case 5:
        return with_guard();
    default:
        return -1;
    }
}

bool is_as_written() {
    const int i = hidden_from_compiler(1);
    visible_zeros[i * 999] += 3;
    hidden_zeros[i * 999] += 4;
    int sum = 0;
    for (int which = 0; which <= 6; ++which)
        sum += by_table(hidden_from_compiler(which));
    features::counter<int>::next();
    ++program::number;
    *hidden_from_compiler(pointers[2]) += 10;
    return *hidden_from_compiler(pointers[0]) == 41 && *hidden_from_compiler(pointers[1]) == 7 &&
           words[i][0] == 't' && functions[i](1) == 8 && functions[i - 1](4) == 8 &&
           visible_constants[i] == 3 && visible_zeros[999] == 3 && hidden_zeros[999] == 4 &&
           visible_zeros[998] == 0 && sum == 3 + 41 + 5 + 18 + 7 + 23 - 1 &&
           features::counter<int>::total == 6 && features::shared == 1 && first.value == 11 &&
           second.value == 1101 && hidden_from_compiler<shape*>(&a_triangle)->sides() == 3 &&
           program::add(1, 2, 3) == 6 && program::number == 11 &&
           (&absent == nullptr || absent() == 5) && &absent_number == nullptr;
}

} // namespace

bool nmisafe_module_init() {
    ++program::calls;
    return is_as_written();
}
void nmisafe_module_exit() {
    program::calls += 100;
}
