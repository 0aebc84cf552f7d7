// SPDX-License-Identifier: MIT
/// The embedding kernel of the host unit tests: one CPU, every optional hook, all calls recorded,
/// and a text memory that remembers what other CPUs may still fetch.
///
/// Hosted code, for tests only. It is single-threaded; a test begins with reset().
#pragma once

#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/fake/physical_memory.hpp"
#include "nmisafe/platform/return_image.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace nmisafe::tracer {
struct cpu;
}

namespace nmisafe::platform::fake {

enum class call {
    lock_checker_off,
    add_preempt_count,
    irq_enter_accounting,
    irq_exit_accounting,
    lock_checker_on,
};

/// One call and the preempt count as it was when the call was over.
struct record {
    call what;
    uint32_t count;
    bool operator==(const record&) const = default;
};

/// What panic() throws here: the one way out that lets a test go on.
struct panicked {
    std::string what;
    uintptr_t value;
    const x86::trap_frame* frame;
};

/// Code that is patched while fake CPUs fetch it. A CPU may fetch each byte as it is, or as it was
/// at any time since the CPU's last serializing instruction, each byte for itself.
struct text_memory {
    uintptr_t begin = 0;
    std::vector<uint8_t> bytes;
    std::vector<std::vector<uint8_t>> fetchable; ///< Of each byte: the values that may be fetched.

    void place(uintptr_t address, std::vector<uint8_t> content) {
        begin = address;
        bytes = std::move(content);
        synchronise();
    }
    void synchronise() {
        fetchable.assign(bytes.size(), {});
        for (size_t i = 0; i < bytes.size(); ++i)
            fetchable[i] = {bytes[i]};
    }
    void write(uintptr_t address, uint8_t byte) {
        bytes.at(address - begin) = byte;
        auto& values = fetchable.at(address - begin);
        if (std::find(values.begin(), values.end(), byte) == values.end())
            values.push_back(byte);
    }
};

struct address_range {
    uintptr_t begin;
    uintptr_t end;
};

} // namespace nmisafe::platform::fake

struct nmisafe_platform {
    using call = nmisafe::platform::fake::call;

    static inline uint32_t count = 0;
    static inline nmisafe::platform::cpu_state cpu{};
    /// The CPU of a thread that moves to this one behind each this_cpu(). Null: it stays.
    static inline nmisafe::platform::cpu_state* left = nullptr;
    static inline bool capped = true; ///< Whether add_preempt_byte() says what it should.
    static inline std::vector<nmisafe::platform::fake::record> calls;
    static inline std::vector<nmisafe::platform::return_image> returns;

    static inline nmisafe::platform::fake::text_memory text;
    static inline std::vector<nmisafe::platform::fake::address_range> no_probe;
    static inline bool can_synchronise = true;
    static inline unsigned synchronisations = 0;
    static inline unsigned without_synchronisation = 0; ///< Which of them has no effect; 0: none.
    /// What the other CPUs do after each byte written and each synchronisation. May be empty.
    static inline std::function<void()> observer;
    static inline std::function<void()> before_read; ///< What happens before code is read.
    static inline unsigned text_writes = 0;
    static inline unsigned grace_periods = 0;
    static inline std::function<void()> during_grace_period; ///< May be empty.

    static inline nmisafe::platform::fake::physical_memory memory;
    static inline uint64_t kernel_top = 0;
    static inline std::vector<uint64_t> top_tables; ///< Of address spaces, the kernel's too.
    static inline bool no_execute = true;
    static inline int mapping_lock = 0;
    static inline std::vector<nmisafe::platform::fake::address_range> flushes;
    static inline std::function<void()> during_flush; ///< May be empty.

    static void reset(uint32_t start = 0) {
        count = start;
        cpu = {};
        left = nullptr;
        capped = true;
        calls.clear();
        returns.clear();
        text = {};
        no_probe.clear();
        can_synchronise = true;
        synchronisations = 0;
        without_synchronisation = 0;
        observer = nullptr;
        before_read = nullptr;
        text_writes = 0;
        grace_periods = 0;
        during_grace_period = nullptr;
        memory = {};
        kernel_top = 0;
        top_tables.clear();
        no_execute = true;
        mapping_lock = 0;
        flushes.clear();
        during_flush = nullptr;
    }

    static uint32_t preempt_count() { return count; }
    static void add_preempt_count(uint32_t delta) {
        count += delta;
        note(call::add_preempt_count);
    }
    static bool add_preempt_byte(uint8_t delta) {
        const auto sum = static_cast<uint8_t>(count + delta);
        count = (count & ~uint32_t{0xff}) | sum;
        note(call::add_preempt_count);
        return sum >= 0x80 && capped;
    }
    static nmisafe::platform::cpu_state& this_cpu() { return left != nullptr ? *left : cpu; }
    static nmisafe::tracer::cpu& tracer_cpu(); ///< A test of what traces defines it.
    [[noreturn]] static void panic(const nmisafe::platform::failure& why) {
        throw nmisafe::platform::fake::panicked{why.what, why.value, why.frame};
    }

    static void lock_checker_off() { note(call::lock_checker_off); }
    static void lock_checker_on() { note(call::lock_checker_on); }
    static void irq_enter_accounting() { note(call::irq_enter_accounting); }
    static void irq_exit_accounting() { note(call::irq_exit_accounting); }
    static void capture_return(const nmisafe::platform::return_image& image) {
        returns.push_back(image);
    }

    /// Several bytes arrive one after the other, in the worst order: the last one first.
    static void write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
        ++text_writes;
        for (size_t i = size; i-- != 0;) {
            text.write(address + i, bytes[i]);
            if (observer)
                observer();
        }
    }
    static void read_text(uintptr_t address, uint8_t* bytes, size_t size) {
        if (before_read)
            before_read();
        for (size_t i = 0; i < size; ++i)
            bytes[i] = text.bytes.at(address - text.begin + i);
    }
    static bool is_text(uintptr_t begin, uintptr_t end) {
        return begin >= text.begin && end <= text.begin + text.bytes.size();
    }
    static bool is_no_probe(uintptr_t begin, uintptr_t end) {
        return std::any_of(no_probe.begin(), no_probe.end(), [=](const auto& range) {
            return begin < range.end && end > range.begin;
        });
    }
    static bool may_synchronise() { return can_synchronise && cpu.nmi_in_progress == 0; }
    static void synchronise_cpus() {
        if (++synchronisations != without_synchronisation)
            text.synchronise();
        if (observer)
            observer();
    }
    static void wait_for_grace_period() {
        ++grace_periods;
        if (during_grace_period)
            during_grace_period();
    }

    // PAE, on a 32-bit host, if the build asks for it.
#if UINTPTR_MAX > 0xffffffff
    static constexpr auto paging = nmisafe::x86::paging_mode::four_level;
#elif defined(NMISAFE_FAKE_PAE)
    static constexpr auto paging = nmisafe::x86::paging_mode::pae;
#else
    static constexpr auto paging = nmisafe::x86::paging_mode::two_level;
#endif
    static uint64_t kernel_top_table() {
        return kernel_top;
    }
    static void* page_at(uint64_t physical) {
        return memory.at(physical);
    }
    static uint64_t allocate_page() {
        return memory.allocate();
    }
    static void free_page(uint64_t physical) {
        memory.free(physical);
    }
    static bool has_no_execute() {
        return no_execute;
    }
    static void flush_tlb(uintptr_t begin, uintptr_t end) {
        flushes.push_back({begin, end});
        if (during_flush)
            during_flush();
    }
    static void lock_mappings() {
        ++mapping_lock;
    }
    static void unlock_mappings() {
        --mapping_lock;
    }
    static void for_each_top_table(void (*function)(uint64_t, void*), void* argument) {
        for (const uint64_t table : top_tables)
            function(table, argument);
    }

  private:
    static void note(call what) {
        calls.push_back({what, count});
    }
};
