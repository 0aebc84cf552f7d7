// SPDX-License-Identifier: MIT
// What the plugin calls of the emulator's, declared here: QEMU's plugin interface [QEMU, docs/devel/tcg-plugins], and
// functions of its own that Debian's emulators export, the same in 7.2 and 10.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>

extern "C" {

#define NMISAFE_EXPORTED __attribute__((visibility("default")))

// --- the plugin interface
struct translation_block;
struct plugin_instruction;
struct plugin_hardware_address;
using plugin_id = uint64_t;
using plugin_memory_info = uint32_t;

enum { plugin_no_registers = 0, plugin_reads_and_writes_registers = 2, plugin_stores = 2 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, translation_block*));
size_t qemu_plugin_tb_n_insns(const translation_block*);
plugin_instruction* qemu_plugin_tb_get_insn(const translation_block*, size_t);
uint64_t qemu_plugin_insn_vaddr(const plugin_instruction*);
size_t qemu_plugin_insn_size(const plugin_instruction*);
// Its bytes: returned until version 3 of the interface, copied since.
const void* qemu_plugin_insn_data(const plugin_instruction*, void* to, size_t size);
void qemu_plugin_register_vcpu_insn_exec_cb(plugin_instruction*, void (*)(unsigned, void*), int,
                                            void*);
void qemu_plugin_register_vcpu_mem_cb(plugin_instruction*,
                                      void (*)(unsigned, plugin_memory_info, uint64_t, void*), int,
                                      int, void*);
plugin_hardware_address* qemu_plugin_get_hwaddr(plugin_memory_info, uint64_t);
bool qemu_plugin_hwaddr_is_io(const plugin_hardware_address*);
uint64_t qemu_plugin_hwaddr_phys_addr(const plugin_hardware_address*);
unsigned qemu_plugin_mem_size_shift(plugin_memory_info);

// --- the emulator's own
struct cpu_state;
struct byte_array {
    uint8_t* data;
    unsigned size;
};
cpu_state* qemu_get_cpu(int index);
// Before its next instruction another CPU has its turn.
void cpu_exit(cpu_state*);
void cpu_interrupt(cpu_state*, int which);
// What is queued is done between two instructions, where each is a block of its own.
void async_run_on_cpu(cpu_state*, void (*)(cpu_state*, uint64_t), uint64_t);
int x86_cpu_gdb_read_register(cpu_state*, byte_array*, int number);
void cpu_dump_state(cpu_state*, FILE*, int flags);
int cpu_memory_rw_debug(cpu_state*, uint64_t virtual_address, void*, size_t, bool is_write);
void cpu_physical_memory_rw(uint64_t physical_address, void*, uint64_t, bool is_write);
void tb_flush(cpu_state*);
// Leaves the translated code, and so the callback that calls it: its instruction is not executed yet.
[[noreturn]] void cpu_loop_exit(cpu_state*);
int qemu_reset_requested_get();
int qemu_shutdown_requested_get();
byte_array* g_byte_array_new();
byte_array* g_byte_array_set_size(byte_array*, unsigned);
}
