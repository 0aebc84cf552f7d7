// SPDX-License-Identifier: MIT
#include "kernel/cpu/per_cpu.hpp"

#include "kernel/common/join_text.hpp"
#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

cpu cpus[most_cpus];
constinit nmisafe::tracer::cpu tracers[most_cpus]{};
uint32_t running = 1; // the first CPU is running, or nobody would ask

} // namespace

cpu& cpu_at(uint32_t id) {
    return cpus[id];
}

uint32_t cpu_count() {
    return __atomic_load_n(&running, __ATOMIC_SEQ_CST);
}

cpu& set_up_per_cpu(uint32_t id, uint32_t apic_id) {
    cpu& mine = cpus[id];
    mine.self = &mine;
    mine.id = id;
    mine.apic_id = apic_id;
    mine.preempt_count = nobody_waits;
    mine.tracer = &tracers[id];
    return mine;
}

[[KERNEL_JOIN_TEXT]] void join_running_cpus() {
    __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
}

void leave_running_cpus() {
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
}

} // namespace kernel
