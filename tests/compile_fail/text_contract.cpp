// SPDX-License-Identifier: MIT
// A kernel that uses text patching and lacks a function for it reads its name.
//
// error 1: lacks: static void write_text\(uintptr_t address, const uint8_t\* bytes, size_t size\)
// error 2: lacks: static void read_text\(uintptr_t address, uint8_t\* bytes, size_t size\)
// error 3: lacks: static bool is_text\(uintptr_t begin, uintptr_t end\)
// error 4: lacks: static bool is_no_probe\(uintptr_t begin, uintptr_t end\)
// error 5: lacks: static bool may_synchronise\(\)
// error 6: lacks: static void synchronise_cpus\(\)
// error 7: lacks: static void synchronise_cpus\(\)
#include "nmisafe/platform/requirements.hpp"

struct patching_kernel {
#if EXPECT_ERROR != 1
    static void write_text(uintptr_t address, const uint8_t* bytes, size_t size);
#endif
#if EXPECT_ERROR != 2
    static void read_text(uintptr_t address, uint8_t* bytes, size_t size);
#endif
#if EXPECT_ERROR != 3
    static bool is_text(uintptr_t begin, uintptr_t end);
#endif
#if EXPECT_ERROR != 4
    static bool is_no_probe(uintptr_t begin, uintptr_t end);
#endif
#if EXPECT_ERROR != 5
    static bool may_synchronise();
#endif
#if EXPECT_ERROR == 7
    static bool synchronise_cpus(); // nobody looks at its result
#elif EXPECT_ERROR != 6
    static void synchronise_cpus();
#endif
};
static_assert(nmisafe::platform::check_text_contract<patching_kernel>());
