// SPDX-License-Identifier: MIT
// A module that has one of everything the compilers produce. The test calls what it exports.
#include "nmisafe/module_loader/test_objects/features.hpp"

#include "nmisafe/module_loader/declare.hpp"
#include "nmisafe/module_loader/exports.hpp"

NMISAFE_MODULE_NAME("features");

extern "C" {

int initialised = 41;
int zero[1000];
const int constants[] = {2, 3, 5, 7};
const char* volatile words[] = {"one", "two"};
alignas(256) int aligned = 9;

[[gnu::weak]] int absent();
[[gnu::weak]] extern int absent_number;
[[gnu::weak]] int present() {
    return 1;
}

int use_data() {
    return ++initialised;
}
int use_zero(unsigned index) {
    return zero[index % 1000]++;
}
int use_constants(unsigned index) {
    return constants[index % 4];
}
const char* use_words(unsigned index) {
    return words[index % 2];
}
bool is_aligned() {
    return reinterpret_cast<uintptr_t>(&aligned) % 256 == 0 && aligned == 9;
}
int use_host(int a) {
    ++program::number;
    return program::add(a, 1) + program::add(a, 1, 1);
}
int use_absent() {
    int found = 0;
    if (absent != nullptr)
        found += absent();
    if (&absent_number != nullptr)
        found += absent_number;
    return found;
}
int use_present() {
    return present();
}
int use_template() {
    features::counter<int>::next();
    return features::counter<int>::total;
}
int use_shared() {
    return features::shared;
}
int use_virtual(bool three) {
    static const features::point none;
    static const features::triangle triangle;
    const features::shape* volatile which = &none;
    if (three)
        which = &triangle;
    return which->sides();
}
/// A jump table.
int use_switch(int which) {
    switch (which) {
    case 0:
        return program::add(1, 2);
    case 1:
        return initialised;
    case 2:
        return constants[2];
    case 3:
        return use_shared();
    case 4:
        return program::add(1, 2, 3);
    case 5:
        return use_present();
    default:
        return -1;
    }
}
int use_sites() {
    return features::site<1>() + features::site<2>() + features::site<3>();
}
[[gnu::section("test_no_probe"), gnu::noinline]] int no_probe() {
    return 77;
}

} // extern "C"

bool nmisafe_module_init() {
    ++program::calls;
    return program::number >= 0;
}
void nmisafe_module_exit() {
    program::calls += 100;
}

NMISAFE_EXPORT_SYMBOL(use_data);
NMISAFE_EXPORT_SYMBOL(use_zero);
NMISAFE_EXPORT_SYMBOL(use_constants);
NMISAFE_EXPORT_SYMBOL(use_words);
NMISAFE_EXPORT_SYMBOL(is_aligned);
NMISAFE_EXPORT_SYMBOL(use_host);
NMISAFE_EXPORT_SYMBOL(use_absent);
NMISAFE_EXPORT_SYMBOL(use_present);
NMISAFE_EXPORT_SYMBOL(use_template);
NMISAFE_EXPORT_SYMBOL(use_shared);
NMISAFE_EXPORT_SYMBOL(use_virtual);
NMISAFE_EXPORT_SYMBOL(use_switch);
NMISAFE_EXPORT_SYMBOL(use_sites);
NMISAFE_EXPORT_SYMBOL(no_probe);
NMISAFE_EXPORT_SYMBOL(initialised);
