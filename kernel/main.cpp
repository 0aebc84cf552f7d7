// SPDX-License-Identifier: MIT
// From the boot loader to the experiment that the command line names.
//
// Options: experiment=<name> policy=iret|far|near|far-nmi-count stack=<bytes> gates=user, and in
// the controls image without=<defence>,... with tf, rf, sti, rewind, cr2, dr7, gs, latch, boundary,
// debug-stack, step-end, stacks, int3, emulate, shootdown, grace, cr3, leaf, lock, order, close.
// Experiments have more.
#include "kernel/boot/multiboot.h"
#include "kernel/common/controls.hpp"
#include "kernel/common/image.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/cet.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/devices/acpi.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/devices/io_apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/memory/stacks.hpp"
#include "kernel/memory/test_page.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/panic/test_exit.hpp"
#include "kernel/smp/interrupts.hpp"
#include "kernel/smp/smp.hpp"
#include "kernel/threads/thread.hpp"
#include "kernel/trace/trace.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/user/controls.h"
#include "nmisafe/vmalloc/controls.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

#ifdef __x86_64__
constexpr const char* arch = "x86_64";
#elif defined(KERNEL_PAE)
constexpr const char* arch = "x86_32_pae";
#else
constexpr const char* arch = "x86_32";
#endif

text value_or(text value, text fallback) {
    return value.empty() ? fallback : value;
}

text policy_name() {
    return value_or(option("policy"), "near");
}

void choose_policy() {
    constexpr struct {
        text name;
        trap::return_policy policy;
    } policies[] = {
        {"iret", trap::return_policy::iret},
        {"far", trap::return_policy::far},
        {"near", trap::return_policy::near},
        {"far-nmi-count", trap::return_policy::far_nmi_count},
    };
    for (const auto& [name, policy] : policies) {
        if (policy_name() == name) {
#ifdef NMISAFE_TRAP_POLICY
            if (policy != trap::current_policy())
                panic("this image has another policy", nullptr, 0);
#else
            trap::set_return_policy(policy);
#endif
            return;
        }
    }
    panic("unknown policy", nullptr, 0);
}

#ifdef NMISAFE_TRAP_CONTROLS
/// Takes out the defences named in the option. True if #BP is to share the NMI's stack.
bool take_out_defences(text names) {
    constexpr struct {
        text name;
        uint32_t defence;
    } defences[] = {
        {"tf", NMISAFE_WITHOUT_TF},
        {"rf", NMISAFE_WITHOUT_RF},
        {"sti", NMISAFE_WITHOUT_STI},
        {"rewind", NMISAFE_WITHOUT_REWIND},
        {"cr2", NMISAFE_WITHOUT_CR2},
        {"dr7", NMISAFE_WITHOUT_DR7},
        {"gs", NMISAFE_WITHOUT_GS},
        {"latch", NMISAFE_WITHOUT_LATCH},
        {"boundary", NMISAFE_WITHOUT_BOUNDARY},
        {"nested-return", NMISAFE_WITHOUT_NESTED_RETURN},
        {"tables", NMISAFE_WITHOUT_TABLES},
        {"tables-back", NMISAFE_WITHOUT_TABLES_BACK},
        {"debug-stack", NMISAFE_WITHOUT_DEBUG_STACK},
        {"step-end", NMISAFE_WITHOUT_STEP_END},
        {"shadow-far", NMISAFE_WITHOUT_SHADOW_FAR},
        {"shadow-step", NMISAFE_WITHOUT_SHADOW_STEP},
        {"shadow-token", NMISAFE_WITHOUT_SHADOW_TOKEN},
        {"shadow-call", NMISAFE_WITHOUT_SHADOW_CALL},
        {"shadow-latch", NMISAFE_WITHOUT_SHADOW_LATCH},
    };
    constexpr struct {
        text name;
        defence which;
    } own_defences[] = {
        {"int3", defence::int3},
        {"emulate", defence::emulate},
        {"shootdown", defence::shootdown},
        {"grace", defence::grace},
        {"cr3", defence::cr3},
        {"leaf", defence::leaf},
        {"lock", defence::lock},
        {"order", defence::order},
        {"close", defence::close},
        {"refuse", defence::refuse},
        {"reload", defence::reload},
        {"section", defence::section},
        {"cap", defence::cap},
        {"target", defence::target},
        {"endbr", defence::endbr},
        {"clac", defence::clac},
        {"early", defence::early},
        {"fresh-time", defence::fresh_time},
        {"exchange", defence::exchange},
        {"two-lines", defence::two_lines},
        {"guard", defence::guard},
    };
    constexpr struct {
        text name;
        uint32_t defence;
    } user_defences[] = {
        {"user-gap", NMISAFE_USER_WITHOUT_GAP},
        {"user-fixup", NMISAFE_USER_WITHOUT_FIXUP},
        {"user-canonical", NMISAFE_USER_WITHOUT_CANONICAL},
        {"user-refusal", NMISAFE_USER_WITHOUT_REFUSAL},
        {"user-gs", NMISAFE_USER_WITHOUT_GS},
        {"user-step", NMISAFE_USER_WITHOUT_STEP},
        {"user-mask", NMISAFE_USER_WITHOUT_MASK},
        {"user-unblocking", NMISAFE_USER_WITHOUT_UNBLOCKING},
        {"user-shadow-entry", NMISAFE_USER_WITHOUT_SHADOW_ENTRY},
        {"user-shadow-exit", NMISAFE_USER_WITHOUT_SHADOW_EXIT},
        {"user-shadow-move", NMISAFE_USER_WITHOUT_SHADOW_MOVE},
        {"user-shadow-fault", NMISAFE_USER_WITHOUT_SHADOW_FAULT},
    };
    bool shared_stacks = false;
    while (!names.empty()) {
        const text name = names.take_until(',');
        bool known = false;
        for (const auto& entry : defences)
            if (name == entry.name) {
                nmisafe_trap_removed |= entry.defence;
                known = true;
            }
        for (const auto& entry : user_defences)
            if (name == entry.name) {
                nmisafe_user_removed |= entry.defence;
                known = true;
            }
        for (const auto& entry : own_defences)
            if (name == entry.name) {
                removed_defences |= static_cast<uint32_t>(entry.which);
                known = true;
            }
        if (name == "stacks") {
            if (sizeof(uintptr_t) == 4)
                panic("x86-32 has no stacks to share", nullptr, 0);
            shared_stacks = known = true;
        }
        if (!known)
            panic("unknown defence", nullptr, 0);
    }
    vmalloc::present_word_first = is_removed(defence::order);
    return shared_stacks;
}
#else
bool take_out_defences(text names) {
    if (!names.empty())
        panic("no controls in this image", nullptr, 0);
    return false;
}
#endif

/// The option cet=on|shadow-stacks|branch-tracking.
void choose_cet_features() {
    const text wanted = option("cet");
    if (wanted.empty())
        return;
#if defined __CET__ && (__CET__ & 1)
    const bool both = wanted == "on";
    const bool shadow_stacks = both || wanted == "shadow-stacks";
    const bool branch_tracking = both || wanted == "branch-tracking";
    if (!shadow_stacks && !branch_tracking)
        panic("unknown value of cet=", nullptr, 0);
    if (!choose_cet(shadow_stacks, branch_tracking))
        panic("this CPU, or image, lacks what cet= asks for", nullptr, 0);
#else
    panic("no CET in this image", nullptr, 0);
#endif
}

/// The option gates=user: the entries of user mode, as a kernel with tasks has them, from the
/// beginning and for experiments without any. From ring 0 they need no more than each CPU's stacks
/// have. #BP then shares no stack.
void choose_gates() {
    const text wanted = option("gates");
    if (wanted == "user")
        use_user_entries();
    else if (!wanted.empty())
        panic("unknown value of gates=", nullptr, 0);
}

/// What needs no more than the boot stack. From its fourth line on an exception ends in a panic.
void start_first_cpu(uint32_t loader_magic, uintptr_t loader_information) {
    set_up_interrupt_table();
    cpu& first = set_up_per_cpu(0, 0);
    prepare_descriptor_tables(first);
    load_descriptor_tables(first);
    set_up_console();
    set_up_double_fault();
    if (loader_magic != MULTIBOOT_LOADER_MAGIC)
        panic("not started by a Multiboot loader", nullptr, loader_magic);
    auto& information =
        *static_cast<const multiboot::information*>(physical_to_virtual(loader_information));
    if ((information.flags & multiboot::has_command_line) != 0)
        set_command_line(static_cast<const char*>(physical_to_virtual(information.command_line)));
    set_up_pages(information);
}

/// On a stack with a guard page, in the kernel's own address space.
[[noreturn, NMISAFE_ASSEMBLY_CALL]] void go_on() {
    start_cet(this_cpu());
    use_fsgsbase_if_asked();
    const machine found = read_machine();
    set_up_local_apic();
    this_cpu().apic_id = local_apic_id();
    set_up_interrupts();
    set_up_io_apic(found.io_apic);
    set_up_hpet(found.hpet);
    calibrate_tick();
    set_up_test_pages();
    set_up_threads();
    start_other_cpus(found);
    x86::enable_interrupts();
    set_up_trace(option("trace"));
    run_experiment(option("experiment"));
    end_trace();
    finish_with_done();
}

} // namespace

// threads/switch_x86_*.S
extern "C" [[noreturn, NMISAFE_ASSEMBLY_CALL]] void
kernel_continue_on(uintptr_t stack_top, nmisafe::x86::assembly_function* function);

/// Called by boot/boot_x86_*.S.
extern "C" [[noreturn, NMISAFE_ASSEMBLY_CALL]] void kernel_main(uint32_t loader_magic,
                                                                uint32_t loader_information) {
    start_first_cpu(loader_magic, loader_information);
    print("@hello arch=", arch, " experiment=", value_or(option("experiment"), "none"),
          " policy=", policy_name(), " without=", value_or(option("without"), "none"), "\n");
    print("@text begin=", hex{text_address(kernel_text_begin)},
          " end=", hex{text_address(kernel_text_end)}, "\n");
    refuse_unknown_options();
    choose_policy();
    choose_cet_features();
    const bool shared_stacks = take_out_defences(option("without"));
    set_up_no_execute();
    set_up_address_spaces();
    set_up_lazy_areas();
    set_up_stacks();
    set_up_interrupt_stacks(cpu_at(0)); // not this_cpu(): GS is younger than this function
    load_task();
    use_interrupt_stacks(shared_stacks);
    choose_gates();
    kernel_continue_on(allocate_stack(), go_on);
}

} // namespace kernel
