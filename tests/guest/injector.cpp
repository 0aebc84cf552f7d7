// SPDX-License-Identifier: MIT
// A plugin for QEMU that raises an event from outside at every instruction boundary of a path: the
// guest takes the path again and again, and the k-th time the event comes behind its k-th
// instruction. With -singlestep a boundary is the end of a block.
//
//   -plugin libinjector.so,begin=ADDRESS,end=ADDRESS,done=ADDRESS,event=EVENT,cpu=N,spare=ADDRESS,spare_size=N,log=FILE
//
// spare: an instruction of a 64-bit guest before which no event is raised, or all within so many
// bytes. EVENT: machine-check, smi, nmi, or unblocked-nmi, which a CPU takes although it blocks
// NMIs, as behind an SMI in an NMI's handler.
//
// begin, end: instructions that are executed once in each pass; these and spare may be given again,
// for one more. done: a word of the guest's that is set to 1 when a pass has had fewer instructions
// than there were passes. The log has a line "path N", N the passes in which an SMI's handler ran,
// and then the addresses of all instructions of that last pass, which was not disturbed, one a
// line.
//
// QEMU's plugin interface raises no events. Debian's emulators export what their own devices call,
// so that is declared here and called: work queued for a CPU is done between two instructions.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <vector>

extern "C" {

#define EXPORTED __attribute__((visibility("default")))

// The plugin interface. [QEMU, docs/devel/tcg-plugins]
struct translation_block;
struct instruction;
using plugin_id = uint64_t;
EXPORTED int qemu_plugin_version = 1; // of QEMU 7.2; see speak_as_the_emulator_does()
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, translation_block*));
size_t qemu_plugin_tb_n_insns(const translation_block*);
instruction* qemu_plugin_tb_get_insn(const translation_block*, size_t);
uint64_t qemu_plugin_insn_vaddr(const instruction*);
void qemu_plugin_register_vcpu_insn_exec_cb(instruction*, void (*)(unsigned, void*), int, void*);

// The emulator's own.
struct cpu_state;
cpu_state* qemu_get_cpu(int index);
void async_run_on_cpu(cpu_state*, void (*)(cpu_state*, uint64_t), uint64_t);
void cpu_interrupt(cpu_state*, int);
int cpu_memory_rw_debug(cpu_state*, uint64_t, void*, size_t, bool);
struct byte_array {
    uint8_t* data;
    unsigned size;
};
byte_array* g_byte_array_new();
void g_byte_array_unref(byte_array*);
int x86_cpu_gdb_read_register(cpu_state*, byte_array*, int number);

} // extern "C"

namespace {

constexpr int no_registers = 0;
constexpr uint64_t lowest_kernel_address = 0x100000;

// Bits of QEMU's interrupt_request for x86.
constexpr int interrupt_smi = 0x40;
constexpr int interrupt_nmi = 0x200;
constexpr int interrupt_machine_check = 0x1000;

std::vector<uint64_t> begin_addresses, end_addresses, spared_addresses;
uint64_t done_address;
uint64_t spared_size = 1;
unsigned which_cpu;
int event;
FILE* out;

uint64_t pass;         // how many instructions of this pass go before the event
uint64_t instructions; // of this pass so far
bool in_pass, raised;
bool in_firmware; // an instruction of this pass was below the kernel
uint64_t passes_in_firmware;
std::vector<uint64_t> walked; // this pass

// --- whether NMIs are blocked -------------------------------------------------------------------

constexpr uint32_t nmis_blocked = 1 << 2; // of hflags2

/// Words and strings of the emulator's own memory, where an address may be none.
class own_memory {
  public:
    own_memory() : file_(open("/proc/self/mem", O_RDONLY)) {}
    ~own_memory() { close(file_); }
    own_memory(const own_memory&) = delete;
    own_memory& operator=(const own_memory&) = delete;
    uint64_t word(uint64_t address) const {
        uint64_t value = 0;
        return pread(file_, &value, sizeof value, static_cast<off_t>(address)) == sizeof value
                   ? value
                   : 0;
    }
    bool is(uint64_t address, const char* text) const {
        char found[32] = {};
        return pread(file_, found, sizeof found - 1, static_cast<off_t>(address)) > 0 &&
               strcmp(found, text) == 0;
    }

  private:
    int file_;
};

constexpr uint64_t word_size = sizeof(uint64_t);

/// Where hflags2 is in a CPU: the description by which the emulator saves and restores it, a list
/// of fields that begin with a name, has it. 0 if it is not as here.
uint64_t find_hflags2() {
    constexpr unsigned longest_description = 32, longest_field = 32, most_fields = 400;
    constexpr uint64_t offset_in_field = 2 * word_size;
    const own_memory memory;
    const auto description = reinterpret_cast<uint64_t>(dlsym(RTLD_DEFAULT, "vmstate_x86_cpu"));
    for (unsigned i = 0; description != 0 && i < longest_description; ++i) {
        const uint64_t fields = memory.word(description + i * word_size);
        if (!memory.is(memory.word(fields), "env.regs"))
            continue;
        uint64_t size = word_size; // of a field: the second one is known too
        while (size < longest_field * word_size &&
               !memory.is(memory.word(fields + size), "env.eip"))
            size += word_size;
        for (uint64_t field = fields; field < fields + most_fields * size; field += size)
            if (memory.is(memory.word(field), "env.hflags2"))
                return memory.word(field + offset_in_field);
    }
    return 0;
}

uint64_t hflags2_offset; // 0: NMIs stay blocked where they are

bool is_one_of(const std::vector<uint64_t>& addresses, uint64_t address) {
    return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

bool is_spared(uint64_t address) {
    return std::any_of(spared_addresses.begin(), spared_addresses.end(),
                       [address](uint64_t spared) { return address - spared < spared_size; });
}

uint64_t instruction_pointer(cpu_state* cpu) {
    constexpr int rip = 16;
    byte_array* const bytes = g_byte_array_new();
    const int size = x86_cpu_gdb_read_register(cpu, bytes, rip);
    uint64_t value = 0;
    memcpy(&value, bytes->data, std::min<size_t>(sizeof value, static_cast<size_t>(size)));
    g_byte_array_unref(bytes);
    return value;
}

/// What was pending has been delivered by now: so the next instruction may be a handler's first.
void raise_event(cpu_state* cpu, uint64_t) {
    if (!spared_addresses.empty() && is_spared(instruction_pointer(cpu)))
        return;
    if (hflags2_offset != 0)
        *reinterpret_cast<uint32_t*>(reinterpret_cast<char*>(cpu) + hflags2_offset) &=
            ~nmis_blocked;
    cpu_interrupt(cpu, event);
}

void tell_the_guest(cpu_state* cpu, uint64_t) {
    uint32_t word = 1;
    cpu_memory_rw_debug(cpu, done_address, &word, sizeof word, true);
}

void end_pass() {
    in_pass = false;
    ++pass;
    passes_in_firmware += in_firmware;
    if (raised)
        return;
    fprintf(out, "path %llu\n", static_cast<unsigned long long>(passes_in_firmware));
    for (const uint64_t address : walked)
        fprintf(out, "%#llx\n", static_cast<unsigned long long>(address));
    fflush(out);
    pass = passes_in_firmware = 0;
    async_run_on_cpu(qemu_get_cpu(static_cast<int>(which_cpu)), tell_the_guest, 0);
}

/// Before each instruction.
void on_instruction(unsigned cpu, void* where) {
    if (cpu != which_cpu)
        return;
    const auto address = reinterpret_cast<uint64_t>(where);
    if (!in_pass && is_one_of(begin_addresses, address)) {
        in_pass = true;
        raised = in_firmware = false;
        instructions = 0;
        walked.clear();
    }
    if (!in_pass)
        return;
    if (is_one_of(end_addresses, address)) {
        end_pass();
        return;
    }
    in_firmware |= address < lowest_kernel_address;
    walked.push_back(address);
    if (instructions++ == pass) {
        raised = true;
        async_run_on_cpu(qemu_get_cpu(static_cast<int>(which_cpu)), raise_event, 0);
    }
}

void on_translation(plugin_id, translation_block* block) {
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
        instruction* const one = qemu_plugin_tb_get_insn(block, i);
        qemu_plugin_register_vcpu_insn_exec_cb(
            one, on_instruction, no_registers,
            reinterpret_cast<void*>(qemu_plugin_insn_vaddr(one)));
    }
}

/// The interface's version is asked for before anything of this runs, but for this.
[[gnu::constructor]] void speak_as_the_emulator_does() {
    if (dlsym(RTLD_DEFAULT, "one_insn_per_tb") != nullptr)
        qemu_plugin_version = 4;
}

bool take(const std::string& name, const std::string& value) {
    const uint64_t number = strtoull(value.c_str(), nullptr, 0);
    if (name == "begin")
        begin_addresses.push_back(number);
    else if (name == "end")
        end_addresses.push_back(number);
    else if (name == "spare")
        spared_addresses.push_back(number);
    else if (name == "spare_size")
        spared_size = number;
    else if (name == "done")
        done_address = number;
    else if (name == "event")
        event = value == "machine-check"                     ? interrupt_machine_check
                : value == "smi"                             ? interrupt_smi
                : value == "nmi" || value == "unblocked-nmi" ? interrupt_nmi
                                                             : 0;
    else if (name == "cpu")
        which_cpu = static_cast<unsigned>(number);
    else if (name == "log")
        out = fopen(value.c_str(), "w");
    else
        return false;
    if (value == "unblocked-nmi")
        hflags2_offset = find_hflags2();
    return value != "unblocked-nmi" || hflags2_offset != 0;
}

} // namespace

extern "C" EXPORTED int qemu_plugin_install(plugin_id id, const void*, int count,
                                            char** arguments) {
    for (int i = 0; i < count; ++i) {
        const std::string argument = arguments[i];
        const size_t equals = argument.find('=');
        if (equals == std::string::npos ||
            !take(argument.substr(0, equals), argument.substr(equals + 1))) {
            fprintf(stderr, "injector: what is %s?\n", argument.c_str());
            return -1;
        }
    }
    if (begin_addresses.empty() || end_addresses.empty() || done_address == 0 || event == 0 ||
        out == nullptr) {
        fprintf(stderr, "injector: begin, end, done, event and log are needed\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
