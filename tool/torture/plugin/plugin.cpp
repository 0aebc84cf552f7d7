// SPDX-License-Identifier: MIT
// A plugin for QEMU that raises an NMI, or another event, at every instruction boundary of a path of any guest.
//
// QEMU's plugin interface raises no events. Debian's emulators export what their own devices call, so that is declared in
// emulator.hpp and called: work queued for a CPU is done between two instructions.
#include <cstdio>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <map>
#include <sys/mman.h>

#include "tool/torture/plugin/emulator.hpp"
#include "tool/torture/plugin/options.hpp"
#include "tool/torture/plugin/output.hpp"
#include "tool/torture/plugin/sweep.hpp"

extern "C" {
// Of QEMU 7.2; see speak_as_the_emulator_does().
NMISAFE_EXPORTED int qemu_plugin_version = 1;
NMISAFE_EXPORTED int qemu_plugin_install(plugin_id, const void*, int, char**);
}

namespace nmisafe::torture {

namespace {

sweep* one;
bool has_named_16_bit_code;
constexpr unsigned longest_turn = 50; // instructions
unsigned instructions_of_turn = 0;
std::deque<instruction> instructions; // as long as the emulator runs: its translations point here

// The interface's version is asked for before anything of this runs, but for this.
[[gnu::constructor]] void speak_as_the_emulator_does() {
    if (dlsym(RTLD_DEFAULT, "one_insn_per_tb") != nullptr) {
        qemu_plugin_version = 4;
    }
}

// Of the other CPUs it matters what they print, alone.
void on_instruction(unsigned processor, void* where) {
    const auto& next = *static_cast<const instruction*>(where);
    const bool is_swept = processor == one->wanted().processor;
    if (is_print(next.what) && !one->is_armed()) {
        static std::map<unsigned, machine> others;
        machine& other = others[processor];
        if (is_swept || other.attach(processor)) {
            one->on_print(is_swept ? one->guest() : other, next);
        }
    }
    // A fork has no main loop, whose timer would make CPUs take turns.
    if (one->wanted().take_turns && one->is_armed() && ++instructions_of_turn > longest_turn) {
        instructions_of_turn = 0;
        cpu_exit(qemu_get_cpu(static_cast<int>(processor)));
    }
    if (is_swept) {
        one->on_instruction(next);
    } else {
        one->on_others();
    }
}

// Not from the guest's memory: it is another process's on each CPU.
void copy_bytes(const plugin_instruction* from, instruction& to) {
    constexpr int first_that_copies = 4;
    const size_t size = to.size <= sizeof to.bytes ? to.size : 0;
    const void* const bytes = qemu_plugin_insn_data(from, to.bytes, size);
    if (qemu_plugin_version < first_that_copies && bytes != nullptr) {
        std::memcpy(to.bytes, bytes, size);
    }
}

void on_store(unsigned processor, plugin_memory_info info, uint64_t address, void*) {
    if (processor == one->wanted().processor) {
        one->on_store(info, address);
    }
}

void on_translation(plugin_id, translation_block* block) {
    if (!one->guest().attach(one->wanted().processor)) {
        return;
    }
    const bool wide = one->guest().is_wide();
    const bool is_real_mode = one->guest().is_below_32_bits();
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
        plugin_instruction* const found = qemu_plugin_tb_get_insn(block, i);
        instruction next{};
        next.pc = qemu_plugin_insn_vaddr(found);
        next.size = static_cast<uint8_t>(qemu_plugin_insn_size(found));
        copy_bytes(found, next);
        next.what = kind_of(next.bytes, next.size, wide);
        next.may_begin = !is_real_mode && one->may_begin(next.pc);
        if (is_real_mode && !has_named_16_bit_code && one->may_begin(next.pc)) {
            has_named_16_bit_code = true;
            line("passed_16_bit_code").send();
        }
        if (one->is_armed() || next.may_begin ||
            (is_print(next.what) && !one->wanted().after.empty())) {
            instructions.push_back(next);
            qemu_plugin_register_vcpu_insn_exec_cb(
                found, on_instruction, plugin_reads_and_writes_registers, &instructions.back());
        }
        if (one->is_armed() && one->wanted().by_fork) {
            qemu_plugin_register_vcpu_mem_cb(found, on_store, plugin_no_registers, plugin_stores,
                                             nullptr);
        }
    }
}

} // namespace

} // namespace nmisafe::torture

int qemu_plugin_install(plugin_id id, const void*, int count, char** arguments) {
    using namespace nmisafe::torture;
    options wanted;
    if (const std::string wrong = read_options(count, arguments, wanted); !wrong.empty()) {
        std::fprintf(stderr, "nmisafe_torture: %s\n", wrong.c_str());
        return -1;
    }
    void* const shared = mmap(nullptr, sizeof(shared_state), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED) {
        std::fprintf(stderr, "nmisafe_torture: no memory\n");
        return -1;
    }
    send_lines_to(wanted.descriptor);
    one = new sweep(wanted, *new (shared) shared_state);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
