// SPDX-License-Identifier: MIT
// Two CPUs. The second runs a task in ring 3 that raises NMIs and makes system calls; in the NMI's handler stands a marker,
// and it takes a page fault while the next NMI waits. The first turns that marker on and off all the time: it becomes an
// event of the tracer, or a NOP, and in between an INT3. README.md says how to run it, and what WITHOUT_NMISAFE shows.
#include "cpu.hpp"
#include "machine.hpp"

#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/setup/setup.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/trace_descriptor/descriptor.hpp"
#include "nmisafe/tracer/control.hpp"
#include "nmisafe/tracer/markers.hpp"
#include "nmisafe/x86/serialize.hpp"

using namespace nmisafe;

extern "C" {
extern const uint8_t trampoline[], trampoline_end[]; // boot.S
extern const char task_code[], task_code_end[];
extern uint64_t directories[2048];
void* memcpy(void* to, const void* from, size_t size);
}

namespace {

constexpr uint32_t wanted = 1000;
constexpr uint8_t synchronise_vector = 0xf0;

// The second CPU's.
volatile uint32_t nmis, nmis_in_task, depth, breakpoints, page_faults, calls;
volatile bool is_second_up, may_task_run;

template <typename Word>
void set(volatile Word& word, Word value) {
    __atomic_store_n(&word, value, __ATOMIC_RELEASE);
}

/// In every other one the next NMI waits before the marker: an IRET from its INT3, or from the page fault, would let it
/// in. (In each, and the task would come to nothing.)
void on_nmi(x86::trap_frame& frame) {
    if (depth != 0)
        panic("an NMI in an NMI");
    depth = 1;
    const tracer::inside_context here(ctf::context::nmi);
    nmis = nmis + 1;
    nmis_in_task = nmis_in_task + (user::is_from_user(frame) ? 1 : 0);
    if (nmis % 2 != 0)
        send(this_per_cpu().id, nmi_command);
    trace_mark(example, nmi, "number %u", nmis);
    *reinterpret_cast<volatile uint32_t*>(faulting_page) = nmis;
    map_faulting_page(false);
    depth = 0;
}

/// Its INT3s are the patcher's: no marker may be patched on the way to it.
[[NMISAFE_TRAP_TEXT]] bool on_breakpoint(x86::trap_frame& frame) {
    if (depth != 0)
        breakpoints = breakpoints + 1;
    return text_patch::handle_breakpoint(frame);
}

bool on_page_fault(x86::trap_frame&, uintptr_t address) {
    if (address != faulting_page)
        return false;
    const tracer::inside_context here(ctf::context::trap);
    page_faults = page_faults + 1;
    map_faulting_page(true);
    trace_mark(example, page_fault, "address %lx", address);
    return true;
}

void on_system_call(x86::trap_frame& frame) {
    calls = calls + 1;
    trace_mark(example, call, "number %u", calls);
    frame.ax = 0;
}

void before_each_return(x86::trap_frame&) {} // signals, rescheduling

void on_refused(x86::trap_frame&, user::refusal) {
    panic("a frame that no task may have");
}

volatile uint32_t synchronised; // how often the other CPU has

bool on_synchronise(x86::trap_frame&) {
    x86::serialize_core();
    end_of_interrupt();
    set(synchronised, synchronised + 1);
    return true;
}

void set_handlers() {
    trap::set_nmi_handler(on_nmi);
    trap::set_page_fault_handler(on_page_fault);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
    trap::set_handler(synchronise_vector, on_synchronise);
    user::set_syscall_handler(on_system_call);
    user::set_return_work(before_each_return);
    user::set_refused_return(on_refused);
}

#ifdef WITHOUT_NMISAFE
extern "C" void plain_nmi(x86::trap_frame* frame) {
    context::nmi_enter();
    on_nmi(*frame);
    context::nmi_exit();
}
extern "C" [[NMISAFE_TRAP_TEXT]] void plain_breakpoint(x86::trap_frame* frame) {
    if (!on_breakpoint(*frame))
        panic("a breakpoint of nobody's");
}
extern "C" void plain_page_fault(x86::trap_frame* frame) {
    if (!on_page_fault(*frame, x86::read_cr2()))
        panic("a page fault elsewhere");
}
extern "C" const char plain_nmi_entry[], plain_breakpoint_entry[], plain_page_fault_entry[];

void use_plain_entries() {
    const auto gate = [](const char* entry, uint8_t stack) {
        return x86::make_gate_64(reinterpret_cast<uintptr_t>(entry), code_selector, stack);
    };
    idt[X86_VECTOR_NMI] = gate(plain_nmi_entry, trap::nmi_ist);
    idt[X86_VECTOR_BP] = gate(plain_breakpoint_entry, 0);
    idt[X86_VECTOR_PF] = gate(plain_page_fault_entry, 0);
}
#endif

void check_this_cpu() {
    const setup::finding found = setup::check_setup();
    if (found.what != setup::fault::none)
        panic(setup::describe(found.what));
}

// --- The trace: a descriptor by which a host finds it, and the second CPU's buffer ---------------

constexpr trace_descriptor::descriptor_parameters wanted_descriptor = {.frequency = 1'000'000'000,
                                                                       .system = "example"};
constexpr uint32_t sub_buffer = 4096, sub_buffers = 16;
alignas(4096) uint8_t descriptor_memory[trace_descriptor::descriptor_size(wanted_descriptor)];
constinit trace_descriptor::descriptor* trace;
alignas(4096) uint8_t buffer_memory[ring_buffer::block_size(sub_buffer, sub_buffers)];
constinit tracer::marker_event marker_storage[4];
text_patch::patch workspace[8];

template <typename Result>
auto require(const Result& result, const char* what) {
    if (!result.has_value())
        panic(what);
    return *result;
}

ring_buffer::header& set_up_trace() {
    clock::tsc_is_good = true; // QEMU's counts nanoseconds, the same on each CPU
    auto wanted_here = wanted_descriptor;
    wanted_here.physical = reinterpret_cast<uintptr_t>(descriptor_memory);
    trace_descriptor::descriptor& to =
        *require(trace_descriptor::create_descriptor(descriptor_memory, sizeof descriptor_memory,
                                                     wanted_here),
                 "no descriptor");
    ring_buffer::header* const buffer =
        require(ring_buffer::create(buffer_memory, sizeof buffer_memory,
                                    {.sub_buffer_size = sub_buffer,
                                     .sub_buffer_count = sub_buffers,
                                     .mode = ring_buffer::mode::overwrite,
                                     .cpu = 1,
                                     .frequency = to.frequency,
                                     .name = "markers"}),
                "no buffer");
    if (!trace_descriptor::add_place(
            to, {reinterpret_cast<uintptr_t>(buffer), sizeof buffer_memory, 1}))
        panic("no place");
    for (cpu_memory& one : cpus)
        one.tracer.buffers[static_cast<unsigned>(tracer::channel::markers)] =
            &one == &cpus[1] ? buffer : nullptr;
    if (immediate::site_count() > sizeof workspace / sizeof *workspace)
        panic("more markers than room for patches");
    immediate::use_workspace(workspace, sizeof workspace / sizeof *workspace);
    tracer::use_marker_storage(marker_storage, sizeof marker_storage / sizeof *marker_storage);
    require(tracer::set_up(to), "no trace");
    trace = &to;
    return *buffer;
}

// --- The task -------------------------------------------------------------------------------------

asm(".pushsection .rodata\n"
    "task_code: movl $0xfee00300, %edi\n"
    "movl $0x01000000, 0x10(%rdi)\n" // to CPU 1
    "1: movl $0x4400, (%rdi)\n"      // an NMI
    "pause\n"
    "syscall\n"
    "jmp 1b\n"
    "task_code_end: .popsection\n");

uintptr_t map_task() {
    constexpr uintptr_t page = 768 << 20, apic = 0xfee00000;
    memcpy(reinterpret_cast<void*>(page), task_code,
           static_cast<size_t>(task_code_end - task_code));
    for (const uintptr_t address : {page, apic}) {
        directories[address >> 21] |= 4; // ring 3
        asm volatile("invlpg (%[page])" : : [page] "r"(address) : "memory");
    }
    return page;
}

} // namespace

/// One CPU asks the other; who asks has interrupts on, and so has a task.
void synchronise_cpus() {
    x86::serialize_core();
    if (!is_second_up)
        return;
    const uint32_t before = synchronised;
    x86::disable_interrupts(); // the ICR's two words
    send(1, 0x4000 | synchronise_vector);
    x86::enable_interrupts();
    while (synchronised == before)
        asm volatile("pause");
}

extern "C" [[noreturn]] void second_cpu_main() {
    set_up_cpu(1);
    enable_local_apic();
#ifndef WITHOUT_NMISAFE
    check_this_cpu();
#endif
    map_faulting_page(false);
    set(is_second_up, true);
    x86::enable_interrupts();
    while (!may_task_run)
        asm volatile("pause");
    x86::disable_interrupts();
    const uintptr_t page = map_task();
    enter_task(page, page + 0x10000);
}

extern "C" [[noreturn]] void kernel_main() {
    x86::out8(0x21, 0xff); // no interrupts but those of the CPUs
    x86::out8(0xa1, 0xff);
    fill_idt();
    set_up_cpu(0);
    set_handlers();
    enable_local_apic();
    check_this_cpu();
#ifdef WITHOUT_NMISAFE
    use_plain_entries();
#endif
    const ring_buffer::header& buffer = set_up_trace();
    memcpy(reinterpret_cast<void*>(0x8000), trampoline,
           static_cast<size_t>(trampoline_end - trampoline));
    send(1, init_command); // [intel/vol3 8.4.4.1]
    for (unsigned i = 0; i < 100000; ++i)
        asm volatile("pause");
    send(1, start_command | 8);
    while (!is_second_up)
        asm volatile("pause");
    x86::enable_interrupts();
    set(may_task_run, true);
    uint32_t turns = 0;
    for (; nmis < wanted || calls == 0 || breakpoints == 0 || turns < 5; ++turns) {
        require(tracer::enable("example", "*"), "markers cannot be turned on");
        require(tracer::disable("example", "*"), "markers cannot be turned off");
    }
    x86::disable_interrupts();
    if (page_faults < nmis - 1 || nmis_in_task == 0 || buffer.offset == 0)
        panic("something has not happened");
    __atomic_store_n(&trace->state, static_cast<uint32_t>(trace_descriptor::machine_state::ended),
                     __ATOMIC_RELEASE);
    print("turns ", turns);
    print(", NMIs ", nmis);
    print(", of them in ring 3 ", nmis_in_task);
    print(", breakpoints in them ", breakpoints);
    print(", system calls ", calls);
    print(", KiB traced ", buffer.offset >> 10);
    print(", NMIs in NMIs 0\n");
    stop(0);
}
