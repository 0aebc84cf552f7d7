// SPDX-License-Identifier: MIT
#include "tool/torture/plugin/machine.hpp"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

namespace nmisafe::torture {

const char* const register_names[register_count] = {
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi",  "rbp",     "rsp",     "r8",
    "r9",  "r10", "r11", "r12", "r13", "r14",  "r15",     "rip",     "rflags",
    "cs",  "ss",  "ds",  "es",  "fs",  "gs",   "fs_base", "gs_base", "kernel_gs_base",
    "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "dr6",     "dr7"};

namespace {

constexpr uint32_t hflag2_nmis_blocked = 1 << 2;
constexpr uint64_t efer_long_mode_active = 0x400;
constexpr uint64_t cr0_protected = 1;
constexpr unsigned reg_cr0 = 27;
constexpr uint64_t word_size = sizeof(uint64_t);

// Words and strings of the emulator's own memory, where an address may be none.
class own_memory {
  public:
    own_memory() : file_(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC)) {}
    ~own_memory() { ::close(file_); }
    own_memory(const own_memory&) = delete;
    own_memory& operator=(const own_memory&) = delete;
    uint64_t word(uint64_t address) const {
        uint64_t value = 0;
        return ::pread(file_, &value, sizeof value, static_cast<off_t>(address)) == sizeof value
                   ? value
                   : 0;
    }
    bool is(uint64_t address, const char* text) const {
        char found[32] = {};
        return ::pread(file_, found, sizeof found - 1, static_cast<off_t>(address)) > 0 &&
               std::strcmp(found, text) == 0;
    }

  private:
    int file_;
};

// Where a field is in a CPU: the description by which the emulator saves and restores it is a list of fields that
// begin with a name, their offset two words behind it. 0 if it is not as here.
uint64_t find_field(const char* name) {
    constexpr unsigned longest_description = 32, longest_field = 32, most_fields = 400;
    const own_memory memory;
    const auto description = reinterpret_cast<uint64_t>(::dlsym(RTLD_DEFAULT, "vmstate_x86_cpu"));
    for (unsigned i = 0; description != 0 && i < longest_description; ++i) {
        const uint64_t fields = memory.word(description + i * word_size);
        if (!memory.is(memory.word(fields), "env.regs")) {
            continue;
        }
        uint64_t size = word_size; // of a field: the second one is known too
        while (size < longest_field * word_size &&
               !memory.is(memory.word(fields + size), "env.eip")) {
            size += word_size;
        }
        for (uint64_t field = fields; field < fields + most_fields * size; field += size) {
            if (memory.is(memory.word(field), name)) {
                return memory.word(field + 2 * word_size);
            }
        }
    }
    return 0;
}

uint64_t number_behind(const std::string& text, const char* name) {
    const size_t at = text.find(name);
    return at == std::string::npos
               ? 0
               : std::strtoull(text.c_str() + at + std::strlen(name), nullptr, 16);
}

} // namespace

bool machine::attach(unsigned processor) {
    if (cpu_ == nullptr) {
        cpu_ = qemu_get_cpu(static_cast<int>(processor));
        bytes_ = g_byte_array_new();
        regs_ = find_field("env.regs");
        hflags2_ = find_field("env.hflags2");
        idt_ = find_field("env.idt");
        lstar_ = find_field("env.lstar");
        sysenter_eip_ = find_field("env.sysenter_eip");
        cr2_ = find_field("env.cr[2]");
    }
    return cpu_ != nullptr;
}

std::string machine::missing() const {
    if (hflags2_ == 0 || idt_ == 0 || lstar_ == 0 || sysenter_eip_ == 0 || cr2_ == 0) {
        return "this emulator's description of a CPU is another one than that of QEMU 7.2 to 10.0";
    }
    return "";
}

uint64_t machine::reg(unsigned number) const {
    g_byte_array_set_size(bytes_, 0);
    x86_cpu_gdb_read_register(cpu_, bytes_, static_cast<int>(number));
    uint64_t value = 0;
    std::memcpy(&value, bytes_->data, bytes_->size < sizeof value ? bytes_->size : sizeof value);
    return value;
}

// The arithmetic flags and DF are computed for the dump alone; and only there are the debug registers.
register_values machine::all_registers() const {
    register_values values{};
    for (unsigned i = 0; i < reg_dr6; ++i) {
        values[i] = reg(i);
    }
    char* text = nullptr;
    size_t size = 0;
    std::FILE* const file = ::open_memstream(&text, &size);
    cpu_dump_state(cpu_, file, 0);
    std::fclose(file);
    const std::string dump(text, size);
    std::free(text);
    values[reg_flags] = number_behind(dump, "FL=");
    values[reg_dr6] = number_behind(dump, "DR6=");
    values[reg_dr7] = number_behind(dump, "DR7=");
    return values;
}

bool machine::is_wide() const {
    return (reg(reg_efer) & efer_long_mode_active) != 0;
}

bool machine::is_below_32_bits() const {
    return (reg(reg_cr0) & cr0_protected) == 0;
}

bool machine::read(uint64_t address, void* to, size_t size) const {
    return cpu_memory_rw_debug(cpu_, address, to, size, false) == 0;
}

uint64_t machine::read_word(uint64_t address) const {
    uint64_t value = 0;
    return read(address, &value, is_wide() ? 8 : 4) ? value : 0;
}

uint64_t machine::idt() const {
    return field<uint64_t>(idt_ + word_size); // behind the selector
}

uint64_t machine::gate(unsigned vector) const {
    const bool wide = is_wide();
    const size_t size = wide ? 16 : 8;
    uint8_t bytes[16] = {};
    if (is_below_32_bits() || !read(idt() + vector * size, bytes, size) || (bytes[5] & 0x80) == 0) {
        return 0; // not present
    }
    uint64_t address = bytes[0] | static_cast<uint64_t>(bytes[1]) << 8 |
                       static_cast<uint64_t>(bytes[6]) << 16 |
                       static_cast<uint64_t>(bytes[7]) << 24;
    if (wide) {
        uint32_t high = 0;
        std::memcpy(&high, bytes + 8, sizeof high);
        address |= static_cast<uint64_t>(high) << 32;
    } else if ((bytes[5] & 0x1f) == 5) {
        return 0; // a task gate: there is no handler's address
    }
    return address;
}

uint64_t machine::msr_lstar() const {
    return field<uint64_t>(lstar_);
}

uint64_t machine::msr_sysenter_eip() const {
    return field<uint64_t>(sysenter_eip_);
}

unsigned machine::timer_vector() const {
    constexpr uint64_t local_vector_timer = 0xfee00320;
    constexpr uint32_t masked = 1u << 16;
    uint32_t value = masked;
    cpu_physical_memory_rw(local_vector_timer, &value, sizeof value, false);
    return (value & masked) != 0 ? 0 : value & 0xff;
}

bool machine::blocks_nmis() const {
    return (field<uint32_t>(hflags2_) & hflag2_nmis_blocked) != 0;
}

void machine::unblock_nmis() const {
    *reinterpret_cast<uint32_t*>(reinterpret_cast<char*>(cpu_) + hflags2_) &= ~hflag2_nmis_blocked;
}

void machine::set_cr2(uint64_t value) const {
    *reinterpret_cast<uint64_t*>(reinterpret_cast<char*>(cpu_) + cr2_) = value;
}

void machine::raise(event what, unsigned vector) const {
    // Bits of QEMU's interrupt_request for x86.
    constexpr int interrupt_nmi = 0x200;
    constexpr int interrupt_machine_check = 0x1000;
    constexpr uint64_t message_window =
        0xfee00000; // as a device signals an interrupt, to APIC 0 [SDM 3A 10.11]
    if (what == event::interrupt) {
        uint32_t data = vector;
        cpu_physical_memory_rw(message_window, &data, sizeof data, true);
        return;
    }
    cpu_interrupt(cpu_, what == event::nmi ? interrupt_nmi : interrupt_machine_check);
}

bool machine::step_single_instructions() const {
    if (void* const until_10 = ::dlsym(RTLD_DEFAULT, "singlestep")) {
        *static_cast<int*>(until_10) = 1;
    } else if (void* const since_8_1 = ::dlsym(RTLD_DEFAULT, "one_insn_per_tb")) {
        *static_cast<bool*>(since_8_1) = true;
    } else {
        return false;
    }
    tb_flush(cpu_);
    return true;
}

} // namespace nmisafe::torture
