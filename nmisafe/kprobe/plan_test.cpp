// SPDX-License-Identifier: MIT
// What is decided for each kind of instruction, and the bytes of the slots.
#include "nmisafe/kprobe/internal/step.hpp"

#include <doctest/doctest.h>
#include <vector>

using namespace nmisafe::kprobe;
using namespace nmisafe::kprobe::internal;
using bytes = std::vector<uint8_t>;

namespace {

#ifdef __x86_64__
constexpr uintptr_t address = 0xffffffff81000000;
constexpr uintptr_t slot = 0xffffffff81234560;
#else
constexpr uintptr_t address = 0xc1000000;
constexpr uintptr_t slot = 0xc1234560;
#endif

nmisafe::base::expected<plan, probe_error> make(const bytes& code, uintptr_t where = slot) {
    const auto what = nmisafe::x86::decode(code.data(), code.size(), nmisafe::x86::this_width);
    REQUIRE(what.has_value());
    REQUIRE(what->length == code.size());
    return make_plan(code.data(), *what, address, where);
}

bytes code_of(const plan& how) {
    return {how.code, how.code + how.code_size};
}

void check_slot(const bytes& code, way how, const bytes& expected, uint8_t end) {
    CAPTURE(code);
    const auto result = make(code);
    REQUIRE(result.has_value());
    CHECK(result->what.how == how);
    CHECK(result->what.length == code.size());
    CHECK(code_of(*result) == expected);
    CHECK(result->what.end == end);
}

void check_copied(bytes code) {
    bytes expected = code;
    expected.push_back(0xcc);
    check_slot(code, way::copy, expected, static_cast<uint8_t>(code.size()));
}

void check_emulated(const bytes& code, way how, uintptr_t target) {
    CAPTURE(code);
    const auto result = make(code, 0); // no slot needed
    REQUIRE(result.has_value());
    CHECK(result->what.how == how);
    CHECK(result->what.length == code.size());
    CHECK(result->what.target == target);
    CHECK(result->code_size == 0);
}

void check_refused(const bytes& code, probe_error why = probe_error::unsupported) {
    CAPTURE(code);
    const auto result = make(code);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error() == why);
}

} // namespace

TEST_CASE("what does not depend on its place is copied") {
    check_copied({0x89, 0xd8});             // mov %ebx, %eax
    check_copied({0xb8, 1, 2, 3, 4});       // mov $, %eax
    check_copied({0x50});                   // push
    check_copied({0x58});                   // pop
    check_copied({0x9c});                   // pushf
    check_copied({0x9d});                   // popf
    check_copied({0xfa});                   // cli
    check_copied({0xf3, 0x0f, 0x1e, 0xfa}); // endbr64
    check_copied({0xfb});                   // sti
    check_copied({0xf7, 0xe1});             // mul %ecx
    check_copied({0xf3, 0xa4});             // rep movsb
    check_copied({0xf0, 0x0f, 0xb1, 0x11}); // lock cmpxchg
    check_copied({0xec});                   // in
    check_copied({0x0f, 0xa2});             // cpuid
    check_copied({0x0f, 0x31});             // rdtsc
    check_copied({0xf3, 0x90});             // pause
    check_copied({0xc9});                   // leave
    check_copied({0xc8, 8, 0, 0});          // enter
    check_copied({0x8c, 0xe8});             // mov %gs, %eax
    check_copied({0x65, 0x8b, 0x04, 0x24}); // mov %gs:(sp), %eax
}

TEST_CASE("system instructions that leave alone what a trap needs are copied") {
    check_copied({0x0f, 0x01, 0xca});             // clac
    check_copied({0x0f, 0x01, 0xcb});             // stac
    check_copied({0x0f, 0x00, 0xe8});             // verw
    check_copied({0x0f, 0x00, 0xe0});             // verr
    check_copied({0x0f, 0x00, 0xc8});             // str
    check_copied({0x0f, 0x00, 0x00});             // sldt
    check_copied({0x0f, 0x01, 0xee});             // rdpkru
    check_copied({0x0f, 0x01, 0xef});             // wrpkru
    check_copied({0x0f, 0x09});                   // wbinvd
    check_copied({0xf3, 0x0f, 0x09});             // wbnoinvd
    check_copied({0x0f, 0x06});                   // clts
    check_copied({0x0f, 0xc7, 0x28});             // xsaves
    check_copied({0x0f, 0xc7, 0x20});             // xsavec
    check_copied({0x0f, 0xc7, 0x18});             // xrstors
    check_copied({0x0f, 0xae, 0x20});             // xsave
    check_copied({0x0f, 0xae, 0x28});             // xrstor
    check_copied({0x0f, 0x20, 0xd0});             // mov %cr2, ax
    check_copied({0x0f, 0x21, 0xf8});             // mov %dr7, ax
    check_copied({0x0f, 0x32});                   // rdmsr
    check_copied({0x0f, 0x01, 0x38});             // invlpg
    check_copied({0x0f, 0x01, 0x00});             // sgdt
    check_copied({0x0f, 0x01, 0x08});             // sidt
    check_copied({0x0f, 0x01, 0xe0});             // smsw
    check_copied({0x0f, 0x01, 0x30});             // lmsw
    check_copied({0x0f, 0x01, 0xd0});             // xgetbv
    check_copied({0x0f, 0x01, 0xd1});             // xsetbv
    check_copied({0x0f, 0x01, 0xf9});             // rdtscp
    check_copied({0x0f, 0x1c, 0x00});             // cldemote
    check_copied({0x0f, 0x78, 0xc8});             // vmread
    check_copied({0x0f, 0x79, 0xc8});             // vmwrite
    check_copied({0x0f, 0xc7, 0x30});             // vmptrld
    check_copied({0x66, 0x0f, 0x38, 0x82, 0x00}); // invpcid
    check_copied({0x66, 0x0f, 0x38, 0x80, 0x00}); // invept
    check_copied({0xf3, 0x0f, 0x1e, 0xc8});       // rdssp
    check_copied({0x66, 0x0f, 0x38, 0xf5, 0x00}); // wruss
#ifdef __x86_64__
    check_copied({0xf3, 0x48, 0x0f, 0xae, 0xc0}); // rdfsbase
    check_copied({0xf3, 0x48, 0x0f, 0xae, 0xc8}); // rdgsbase
    check_copied({0x44, 0x0f, 0x22, 0xc0});       // mov rax, cr8
#endif
}

TEST_CASE("no operations and relative branches are emulated") {
    check_emulated({0x90}, way::skip, 0);
    check_emulated({0x66, 0x90}, way::skip, 0);
    check_emulated({0x0f, 0x1f, 0x44, 0, 0}, way::skip, 0);
    check_emulated({0xeb, 0xfe}, way::jump, address);
    check_emulated({0xe9, 0, 1, 0, 0}, way::jump, address + 0x105);
    check_emulated({0x74, 0x10}, way::conditional_jump, address + 0x12);
    check_emulated({0x0f, 0x85, 0xfa, 0xff, 0xff, 0xff}, way::conditional_jump, address);
    check_emulated({0xe2, 0xf0}, way::loop, address - 14);
    check_emulated({0xe3, 0x02}, way::jump_cx_zero, address + 4);
    CHECK_FALSE(make({0xe2, 0xf0})->what.short_counter);
    CHECK(make({0x67, 0xe2, 0xf0})->what.short_counter);
    CHECK(make({0x67, 0xe3, 0x02})->what.short_counter);
}

TEST_CASE("a call pushes the address behind the call, not behind the slot") {
#ifdef __x86_64__
    check_slot({0xe8, 0, 0x10, 0, 0}, way::call,
               {0x68, 0x05, 0, 0, 0x81, 0xc7, 0x44, 0x24, 4, 0xff, 0xff, 0xff, 0xff, 0xcc}, 13);
#else
    check_slot({0xe8, 0, 0x10, 0, 0}, way::call, {0x68, 0x05, 0, 0, 0xc1, 0xcc}, 5);
#endif
    CHECK(make({0xe8, 0, 0x10, 0, 0})->what.target == address + 0x1005);
}

TEST_CASE("an indirect branch pushes its operand") {
    check_slot({0xff, 0xd0}, way::call_indirect, {0xff, 0xf0, 0xcc}, 2);             // call *%eax
    check_slot({0xff, 0x14, 0x24}, way::call_indirect, {0xff, 0x34, 0x24, 0xcc}, 3); // call *(sp)
    check_slot({0xff, 0xe1}, way::jump_indirect, {0xff, 0xf1, 0xcc, 0xc3}, 2);       // jmp *%ecx
    check_slot({0x3e, 0xff, 0xe0}, way::jump_indirect, {0x3e, 0xff, 0xf0, 0xcc, 0xc3}, 3);
    check_slot({0x65, 0xff, 0x54, 0x88, 4}, way::call_indirect, {0x65, 0xff, 0x74, 0x88, 4, 0xcc},
               5);
}

TEST_CASE("a near return is its own slot") {
    check_slot({0xc3}, way::return_near, {0xc3}, 0);
    check_slot({0xf3, 0xc3}, way::return_near, {0xf3, 0xc3}, 0);
    check_slot({0xc2, 0x34, 0x12}, way::return_near, {0xc2, 0x34, 0x12}, 0);
    CHECK(make({0xc2, 0x34, 0x12})->what.released == 0x1234);
    CHECK(make({0xc3})->what.released == 0);
}

#ifdef __x86_64__
TEST_CASE("an operand relative to the instruction is adjusted") {
    // The slot is 0x234560 further on, so the operand is as much further back.
    check_slot({0x48, 0x8b, 0x05, 0x00, 0x01, 0, 0}, way::copy,
               {0x48, 0x8b, 0x05, 0xa0, 0xbb, 0xdc, 0xff, 0xcc}, 7);
    // An immediate behind the displacement stays.
    check_slot({0xc7, 0x05, 0x00, 0x01, 0, 0, 1, 2, 3, 4}, way::copy,
               {0xc7, 0x05, 0xa0, 0xbb, 0xdc, 0xff, 1, 2, 3, 4, 0xcc}, 10);
    check_slot({0xff, 0x25, 0x00, 0x01, 0, 0}, way::jump_indirect,
               {0xff, 0x35, 0xa0, 0xbb, 0xdc, 0xff, 0xcc, 0xc3}, 6);
    // Buffers are cleared by VERW with an operand of the kernel's own.
    check_slot({0x0f, 0x00, 0x2d, 0x00, 0x01, 0, 0}, way::copy,
               {0x0f, 0x00, 0x2d, 0xa0, 0xbb, 0xdc, 0xff, 0xcc}, 7);
    check_slot({0x62, 0xf1, 0x7c, 0x48, 0x58, 0x05, 0, 1, 0, 0}, way::copy, // vaddps, EVEX
               {0x62, 0xf1, 0x7c, 0x48, 0x58, 0x05, 0xa0, 0xbb, 0xdc, 0xff, 0xcc}, 10);
    // VEX: vmovups 0x100(%rip), %xmm0.
    check_slot({0xc5, 0xf8, 0x10, 0x05, 0x00, 0x01, 0, 0}, way::copy,
               {0xc5, 0xf8, 0x10, 0x05, 0xa0, 0xbb, 0xdc, 0xff, 0xcc}, 8);
}

TEST_CASE("what compilers and APX have of branches") {
    check_slot({0x66, 0x66, 0x48, 0xe8, 0, 0, 0, 0}, way::call,
               {0x68, 0x08, 0, 0, 0x81, 0xc7, 0x44, 0x24, 4, 0xff, 0xff, 0xff, 0xff, 0xcc}, 13);
    CHECK(make({0x66, 0x66, 0x48, 0xe8, 0, 0x10, 0, 0})->what.target == address + 0x1008);
    check_emulated({0xd5, 0, 0xa1, 1, 2, 3, 4, 5, 6, 7, 8}, way::jump, 0x0807060504030201);
    check_slot({0xd5, 0x10, 0xff, 0xd0}, way::call_indirect, {0xd5, 0x10, 0xff, 0xf0, 0xcc}, 4);
    check_copied({0xd5, 0x58, 0x01, 0xc1});
}

TEST_CASE("an operand out of the slot's reach is refused, at either end and exactly there") {
    const bytes load = {0x48, 0x8b, 0x05, 0, 0, 0, 0};
    CHECK(make(load, address + 0x80000000).has_value());
    CHECK(make(load, address + 0x80000001).error() == probe_error::out_of_range);
    CHECK(make(load, address - 0x7fffffff).has_value());
    CHECK(make(load, address - 0x80000000).error() == probe_error::out_of_range);
    CHECK(make({0xff, 0x15, 0, 0, 0, 0}, 0x1000'0000'0000).error() == probe_error::out_of_range);
    CHECK(make({0x48, 0x89, 0xd8}, 0x1000'0000'0000).has_value());
}

TEST_CASE("a call pushes any address there is") {
    const bytes call = {0xe8, 0, 0, 0, 0};
    const auto what = nmisafe::x86::decode(call.data(), call.size(), nmisafe::x86::this_width);
    const auto result = make_plan(call.data(), *what, 0x1234'89abcdef, slot);
    REQUIRE(result.has_value());
    CHECK(code_of(*result) ==
          bytes{0x68, 0xf4, 0xcd, 0xab, 0x89, 0xc7, 0x44, 0x24, 4, 0x34, 0x12, 0, 0, 0xcc});
}
#endif

TEST_CASE("what can be neither stepped nor emulated is refused") {
    check_refused({0xcc});                   // int3
    check_refused({0xcd, 0x80});             // int
    check_refused({0xf1});                   // int1
    check_refused({0xcf});                   // iret
    check_refused({0xcb});                   // retf
    check_refused({0xff, 0x28});             // ljmp *(ax)
    check_refused({0xff, 0x18});             // lcall *(ax)
    check_refused({0xf4});                   // hlt
    check_refused({0x0f, 0x01, 0xc9});       // mwait
    check_refused({0x0f, 0x0b});             // ud2
    check_refused({0x0f, 0x34});             // sysenter
    check_refused({0x0f, 0x01, 0xc1});       // vmcall
    check_refused({0x0f, 0x01, 0xd8});       // vmrun
    check_refused({0xc7, 0xf8, 0, 0, 0, 0}); // xbegin
    check_refused({0x8e, 0xd0});             // mov ax, ss
    check_refused({0x8e, 0xe8});             // mov ax, gs
    check_refused({0x0f, 0x22, 0xd8});       // mov ax, cr3
    check_refused({0x0f, 0x23, 0xf8});       // mov ax, dr7
    check_refused({0x0f, 0x30});             // wrmsr
    check_refused({0x0f, 0x01, 0x18});       // lidt
    check_refused({0x0f, 0x01, 0x10});       // lgdt
    check_refused({0x0f, 0x00, 0xd8});       // ltr
    check_refused({0x0f, 0x00, 0xd0});       // lldt
    check_refused({0x0f, 0x22, 0xd0});       // mov ax, cr2
    check_refused({0x0f, 0x22, 0xc0});       // mov ax, cr0
    check_refused({0x0f, 0x08});             // invd
    check_refused({0x0f, 0x01, 0xda});       // vmload
    check_refused({0x0f, 0x01, 0xd4});       // vmfunc
    check_refused({0x0f, 0x01, 0xc2});       // vmlaunch
    check_refused({0x0f, 0x01, 0xc5});       // pconfig
    check_refused({0x0f, 0xb4, 0x00});       // lfs
    check_refused({0x0f, 0xa9});             // pop %gs
    check_refused({0xf3, 0x0f, 0xae, 0xe8}); // incssp
    check_refused({0xf3, 0x0f, 0x01, 0x28}); // rstorssp
    check_refused({0xf3, 0x0f, 0xae, 0x30}); // clrssbsy
    check_refused({0xf2, 0xff, 0xd0});       // bnd call *%eax
    check_refused({0xf3, 0x0f, 0x01, 0xd9}); // vmgexit
#ifdef __x86_64__
    check_refused({0x0f, 0x01, 0xf8});             // swapgs
    check_refused({0xf3, 0x48, 0x0f, 0xae, 0xd0}); // wrfsbase
    check_refused({0xf3, 0x48, 0x0f, 0xae, 0xd8}); // wrgsbase
    check_refused({0x0f, 0x05});                   // syscall
#else
    check_refused({0x66, 0xe9, 0, 0}); // jmp rel16
    check_refused({0x66, 0xc3});       // ret, 16 bits
    check_refused({0x66, 0xff, 0xe0}); // jmp *%ax
    check_refused({0x17});             // pop %ss
#endif
}
