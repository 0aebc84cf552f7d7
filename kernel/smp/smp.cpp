// SPDX-License-Identifier: MIT
#include "kernel/smp/smp.hpp"
#include "kernel/devices/wake.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/common/join_text.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/cet.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/stacks.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/smp/interrupts.hpp"
#include "kernel/threads/thread.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"
#include "nmisafe/x86/serialize.hpp"

extern "C" {
// boot/trampoline_x86_*.S reads these; one CPU starts at a time.
uintptr_t kernel_starting_top_table;
uintptr_t kernel_starting_stack;

extern const char kernel_trampoline_begin[];
extern const char kernel_trampoline_armed[]; // behind its first instruction, which loads IDTR
extern const char kernel_early_nmis[];
extern const char kernel_trampoline_end[];
}

namespace kernel {

namespace {

using namespace nmisafe;

cpu* starting;
uint32_t started; // id of the latest CPU that takes work

uint32_t apic_ids[most_cpus]; // of those to be started
uint32_t to_start;
uintptr_t stacks[most_cpus]; // of the first threads of CPUs that have been started

/// Runs what another CPU asked for. @context thread
void take_mail() {
    cpu& mine = this_cpu();
    const auto function = __atomic_load_n(&mine.mail, __ATOMIC_ACQUIRE);
    if (function == nullptr)
        return;
    function(mine.mail_argument);
    __atomic_store_n(&mine.mail, nullptr, __ATOMIC_RELEASE);
}

/// HLT right behind STI: the wake-up cannot get in between, but for an NMI there on a CPU whose STI
/// does not hold NMIs off. wait() and join() therefore wake again.
[[noreturn, gnu::noinline]] void idle() {
    while (true) {
        take_mail();
        yield();
        x86::disable_interrupts();
        if (__atomic_load_n(&this_cpu().mail, __ATOMIC_ACQUIRE) == nullptr && !others_ready())
            asm volatile("sti\n\thlt" : : : "memory");
        x86::enable_interrupts();
    }
}

/// True once `id` has come up, false after `microseconds`.
bool has_started(uint32_t id, uint32_t microseconds) {
    constexpr uint32_t step = 50;
    for (uint32_t waited = 0; waited < microseconds; waited += step) {
        if (__atomic_load_n(&started, __ATOMIC_ACQUIRE) == id)
            return true;
        delay_microseconds(step);
    }
    return false;
}

/// NMIs that CPUs met on their way here, before the kernel's IDT: the word is in the trampoline's
/// page.
uint32_t& early_nmis() {
    return *static_cast<uint32_t*>(physical_to_virtual(
        KERNEL_TRAMPOLINE + static_cast<uintptr_t>(kernel_early_nmis - kernel_trampoline_begin)));
}

/// A control: without the table for NMIs before the kernel's IDT.
void disarm_trampoline() {
    constexpr uint8_t nop = 0x90;
    auto* const code = static_cast<uint8_t*>(physical_to_virtual(KERNEL_TRAMPOLINE));
    for (ptrdiff_t i = 0; i < kernel_trampoline_armed - kernel_trampoline_begin; ++i)
        code[i] = nop;
}

/// INIT, then one or two start-up messages. [intel/vol3 8.4.4.1]
void start(uint32_t id, uint32_t apic_id) {
    starting = &set_up_per_cpu(id, apic_id);
    prepare_descriptor_tables(*starting);
    set_up_interrupt_stacks(*starting);
    if (stacks[id] == 0)
        stacks[id] = allocate_stack();
    kernel_starting_stack = stacks[id];
    started = 0;
    send_init(apic_id);
    delay_microseconds(10'000);
    send_startup(apic_id, KERNEL_TRAMPOLINE);
    if (!has_started(id, 200)) {
        send_startup(apic_id, KERNEL_TRAMPOLINE);
        if (!has_started(id, 1'000'000))
            panic("a CPU does not start", nullptr, apic_id);
    }
}

} // namespace

void use_fsgsbase_if_asked() {
#ifdef __x86_64__
    if (option("fsgsbase") == "on")
        use_fsgsbase(this_cpu());
#endif
}

/// The first code of another CPU that may be patched or probed.
extern "C" [[noreturn, gnu::noinline]] void kernel_joined() {
    start_cet(this_cpu());
    use_fsgsbase_if_asked();
    set_up_threads();
    if (__atomic_exchange_n(&early_nmis(), 0, __ATOMIC_ACQ_REL) != 0)
        send_nmi(this_cpu().id);
    __atomic_store_n(&started, this_cpu().id, __ATOMIC_RELEASE);
    idle();
}

/// Called by boot/trampoline_x86_*.S. Whatever all CPUs are asked to do after this one is counted,
/// it is asked too, and can be; what they were asked before is made up for here: code is seen as it
/// is now, no translation is older. Only then it may run what others patch.
extern "C" [[noreturn, KERNEL_JOIN_TEXT, NMISAFE_ASSEMBLY_CALL]] void kernel_other_cpu_main() {
    load_descriptor_tables(*starting);
    set_up_no_execute();
    set_up_local_apic();
    join_running_cpus();
    x86::write_cr3(x86::read_cr3());
    x86::serialize_core();
    kernel_joined();
}

void start_other_cpus(const machine& found) {
    if (found.cpus_left_out != 0)
        print("CPUs left out: ", found.cpus_left_out, "\n");
    kernel_starting_top_table = kernel_space().top_table;
    __builtin_memcpy(physical_to_virtual(KERNEL_TRAMPOLINE), kernel_trampoline_begin,
                     static_cast<size_t>(kernel_trampoline_end - kernel_trampoline_begin));
    for (uint32_t i = 0; i < found.cpus && to_start < most_cpus - 1; ++i)
        if (found.apic_ids[i] != this_cpu().apic_id)
            apic_ids[to_start++] = found.apic_ids[i];
    if (is_removed(defence::early))
        disarm_trampoline();
    const uint32_t late = option_number("late", 0);
    while (cpu_count() + late <= to_start)
        start_next_cpu();
}

bool start_next_cpu() {
    const uint32_t id = cpu_count();
    if (id > to_start)
        return false;
    start(id, apic_ids[id - 1]);
    return true;
}

void stop_last_cpu() {
    const uint32_t id = cpu_count() - 1;
    if (id == 0)
        panic("the first CPU does not stop", nullptr, id);
    wait(id);
    leave_running_cpus();
    stop_by_init(cpu_at(id).apic_id);
}

void run_on(uint32_t cpu_id, void (*function)(void*), void* argument) {
    if (cpu_id == this_cpu().id) {
        function(argument);
        return;
    }
    if (cpu_id == 0 || cpu_id >= cpu_count())
        panic("no CPU that takes work", nullptr, cpu_id);
    wait(cpu_id);
    cpu& target = cpu_at(cpu_id);
    target.mail_argument = argument;
    __atomic_store_n(&target.mail, function, __ATOMIC_RELEASE);
    wake(cpu_id);
}

void wait(uint32_t cpu_id) {
    const uint32_t begin = ticks();
    for (uint32_t wakes = 0; __atomic_load_n(&cpu_at(cpu_id).mail, __ATOMIC_ACQUIRE) != nullptr;)
        wake_again(cpu_id, begin, wakes);
}

} // namespace kernel
