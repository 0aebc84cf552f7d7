// SPDX-License-Identifier: MIT
#include "kernel/experiments/user/hostile_checks.hpp"

#include "kernel/console/console.hpp"
#include "kernel/experiments/shared/scene.hpp"

namespace kernel {

using namespace nmisafe;

namespace {

uint32_t number_of_task;

} // namespace

void begin_checks_of_task(uint32_t number) {
    number_of_task = number;
}

void fail_task(const char* what, uintptr_t expected, uintptr_t found) {
    fail(what, expected, found);
    if (scene.count.failures <= 5)
        print("@fail task=", number_of_task, "\n");
}

namespace {

void expect_same(const char* what, uintptr_t expected, uintptr_t found) {
    if (expected != found)
        fail_task(what, expected, found);
}

/// The registers that no event changes.
void expect_same_registers(const x86::trap_frame& before, const x86::trap_frame& after) {
    expect_same("AX", before.ax, after.ax);
    expect_same("BX", before.bx, after.bx);
    expect_same("CX", before.cx, after.cx);
    expect_same("DX", before.dx, after.dx);
    expect_same("SI", before.si, after.si);
    expect_same("DI", before.di, after.di);
    expect_same("BP", before.bp, after.bp);
#ifdef __x86_64__
    expect_same("R8", before.r8, after.r8);
    expect_same("R9", before.r9, after.r9);
    expect_same("R10", before.r10, after.r10);
    expect_same("R11", before.r11, after.r11);
    expect_same("R12", before.r12, after.r12);
    expect_same("R13", before.r13, after.r13);
    expect_same("R14", before.r14, after.r14);
    expect_same("R15", before.r15, after.r15);
#endif
}

/// A selector that cannot be loaded, or that user mode must not keep, has become null.
[[maybe_unused]] void expect_same_or_null(const char* what, uint32_t expected, uint32_t found) {
    if ((found & 0xfffc) != 0)
        expect_same(what, expected & 0xffff, found & 0xffff);
}

} // namespace

void expect_same_frame(user::user_frame& before, user::user_frame& after) {
    expect_same_registers(before.trap, after.trap);
    expect_same("IP", before.trap.ip, after.trap.ip);
    expect_same("CS", before.trap.cs & 0xffff, after.trap.cs & 0xffff);
    expect_same("flags", before.trap.flags & ~uintptr_t{X86_FLAGS_RF},
                after.trap.flags & ~uintptr_t{X86_FLAGS_RF});
    expect_same("SP", before.sp(), after.sp());
    expect_same("SS", before.ss() & 0xffff, after.ss() & 0xffff);
#ifdef __i386__
    expect_same_or_null("DS", before.ds, after.ds);
    expect_same_or_null("ES", before.es, after.es);
    expect_same_or_null("FS", before.fs, after.fs);
    expect_same_or_null("GS", before.gs, after.gs);
#endif
}

} // namespace kernel
