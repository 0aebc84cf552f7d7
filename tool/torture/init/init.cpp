// SPDX-License-Identifier: MIT
// The first program of a Linux guest of `nmisafe torture`, without a C library: takes one path for ever.
//
// The kernel's command line says what:
//   torture=breakpoint|page-fault|syscall|sysenter|debug|general-protection|kprobe|nmi|nmi-in-nmi|timer|idle
//   kprobe=SYMBOL+OFFSET   a probe there first; may be repeated
// One process of it stays on each CPU and takes the path there.
// It prints "torture: ready NAME" before the loop, or "torture: cannot WHY", and then nothing any more.
#include <stddef.h>
#include <stdint.h>

extern "C" {
intptr_t init_system_call(intptr_t number, intptr_t a = 0, intptr_t b = 0, intptr_t c = 0,
                          intptr_t d = 0, intptr_t e = 0, intptr_t f = 0);
void init_breakpoint();
void init_debug();
void init_general_protection();
void init_page_fault();
void init_syscall();
void init_sysenter();
void init_spin();
extern uintptr_t init_sp, init_page, init_vsyscall;

void* memset(void* to, int value, size_t size) {
    for (size_t i = 0; i < size; ++i)
        static_cast<volatile char*>(to)[i] = static_cast<char>(value);
    return to;
}
void* memcpy(void* to, const void* from, size_t size) {
    for (size_t i = 0; i < size; ++i)
        static_cast<volatile char*>(to)[i] = static_cast<const char*>(from)[i];
    return to;
}
}

namespace {

#ifdef __x86_64__
enum call : intptr_t {
    read = 0,
    write = 1,
    open = 2,
    close = 3,
    map = 9,
    sigaction = 13,
    fork = 57,
    mkdir = 83,
    mount = 165,
    set_affinity = 203,
    get_affinity = 204
};
#else
enum call : intptr_t {
    fork = 2,
    read = 3,
    write = 4,
    open = 5,
    close = 6,
    mount = 21,
    mkdir = 39,
    sigaction = 174,
    map = 192,
    set_affinity = 241,
    get_affinity = 242
};
#endif

constexpr int signal_trap = 5, signal_segment = 11;
constexpr uintptr_t tag_vsyscall = 32; // AT_SYSINFO

char line[4096];

intptr_t number(const void* pointer) {
    return reinterpret_cast<intptr_t>(pointer);
}

size_t length(const char* text) {
    size_t size = 0;
    while (text[size] != 0)
        ++size;
    return size;
}

void print(const char* text, size_t size) {
    while (size != 0) {
        const intptr_t done = init_system_call(write, 1, number(text), static_cast<intptr_t>(size));
        if (done <= 0)
            return;
        text += done;
        size -= static_cast<size_t>(done);
    }
}

void print(const char* text) {
    print(text, length(text));
}

[[noreturn]] void cannot(const char* why, const char* more = "") {
    print("torture: cannot ");
    print(why);
    print(more);
    print("\n");
    for (;;)
        init_spin();
}

bool put(const char* path, const char* text) {
    const intptr_t opened = init_system_call(open, number(path), 02001); // O_WRONLY | O_APPEND
    if (opened < 0)
        return false;
    const intptr_t done =
        init_system_call(write, opened, number(text), static_cast<intptr_t>(length(text)));
    init_system_call(close, opened);
    return done > 0;
}

void mount_at(const char* what, const char* where) {
    init_system_call(mkdir, number(where), 0755);
    init_system_call(mount, number(what), number(where), number(what), 0, 0);
}

/// One of the words of `line`: WORD= with what stands behind it, or WORD. Takes up at `from`, which it moves on.
bool next_word(const char*& from, const char* name, char (&value)[128]) {
    while (*from != 0) {
        while (*from == ' ' || *from == '\n')
            ++from;
        const char* word = from;
        while (*from != 0 && *from != ' ' && *from != '\n')
            ++from;
        const size_t size = length(name);
        size_t same = 0;
        while (same < size && word + same < from && word[same] == name[same])
            ++same;
        if (same != size || (name[size - 1] != '=' && word + size != from))
            continue;
        size_t used = 0;
        for (word += size; word < from && used + 1 < sizeof value; ++word)
            value[used++] = *word;
        value[used] = 0;
        return true;
    }
    return false;
}

bool equal(const char* one, const char* other) {
    while (*one != 0 && *one == *other) {
        ++one;
        ++other;
    }
    return *one == *other;
}

void set_probe(const char* place, unsigned which) {
    const char* const events = "/sys/kernel/tracing/kprobe_events";
    char text[160] = "p:torture0 ", enable[] = "/sys/kernel/tracing/events/kprobes/torture0/enable";
    text[9] = static_cast<char>('0' + which % 10);
    enable[43] = text[9];
    size_t at = 11;
    for (; *place != 0 && at + 1 < sizeof text; ++place)
        text[at++] = *place;
    if (!put(events, text) || !put(enable, "1"))
        cannot("set a kprobe: ", text);
}

/// The handler takes the path again, and is never returned from.
void on_signal(int signal, void (*handler)()) {
    const uintptr_t action[] = {reinterpret_cast<uintptr_t>(handler),
                                0x44000000, // SA_NODEFER, SA_RESTORER
                                reinterpret_cast<uintptr_t>(handler), 0, 0};
    if (init_system_call(sigaction, signal, number(action), 0, 8) != 0)
        cannot("handle a signal");
}

/// This process stays on CPU 0, whose path is swept; on each other CPU one of its own takes the path too.
void take_on_all_cpus(void (*take)()) {
    uintptr_t cpus[16] = {}, one[16] = {}; // masks
    init_system_call(get_affinity, 0, sizeof cpus, number(cpus));
    constexpr unsigned bits = 8 * sizeof cpus[0];
    for (unsigned cpu = 16 * bits; cpu-- > 0;) {
        if ((cpus[cpu / bits] >> cpu % bits & 1) == 0)
            continue;
        const bool is_child = cpu != 0 && init_system_call(fork) == 0;
        if (cpu != 0 && !is_child)
            continue;
        one[cpu / bits] = uintptr_t{1} << cpu % bits;
        if (init_system_call(set_affinity, 0, sizeof one, number(one)) != 0)
            cannot("stay on one CPU");
        while (is_child)
            take();
    }
}

} // namespace

extern "C" [[noreturn]] void init_main(const uintptr_t* stack) {
    mount_at("proc", "/proc");
    const intptr_t opened = init_system_call(open, number("/proc/cmdline"), 0);
    if (opened < 0 || init_system_call(read, opened, number(line), sizeof line - 1) <= 0)
        cannot("read /proc/cmdline");
    init_system_call(close, opened);
    put("/proc/sys/kernel/printk", "0");

    char name[128], value[128];
    const char* from = line;
    if (!next_word(from = line, "torture=", name))
        cannot("say which path: the kernel's command line has no torture=");

    unsigned probes = 0;
    from = line;
    while (next_word(from, "kprobe=", value)) {
        if (probes == 0) {
            mount_at("sysfs", "/sys");
            mount_at("tracefs", "/sys/kernel/tracing");
            put("/proc/sys/debug/kprobes-optimization", "0"); // an INT3, not a jump
        }
        set_probe(value, probes++);
    }

    struct {
        const char* name;
        void (*take)();
        int signal;
    } const paths[] = {
        {"breakpoint", init_breakpoint, signal_trap},
        {"page-fault", init_page_fault, 0},
        {"syscall", init_syscall, 0},
        {"sysenter", init_sysenter, 0},
        {"debug", init_debug, signal_trap},
        {"general-protection", init_general_protection, signal_segment},
        {"kprobe", init_syscall, 0},
        {"nmi", init_syscall, 0},
        {"nmi-in-nmi", init_syscall, 0},
        {"timer", init_spin, 0},
        {"idle", init_spin, 0},
    };
    for (const auto& path : paths) {
        if (!equal(path.name, name))
            continue;
        init_sp = reinterpret_cast<uintptr_t>(stack) & ~uintptr_t{15};
        // PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
        const intptr_t page = init_system_call(map, 0, 4096, 3, 0x22, -1, 0);
        init_page = static_cast<uintptr_t>(page);
        while (*stack++ != 0) // argc is not 0, so this is the end of the arguments;
            continue;
        while (*stack++ != 0) // then that of the environment
            continue;
        for (; stack[0] != 0; stack += 2)
            if (stack[0] == tag_vsyscall)
                init_vsyscall = stack[1];
        if (init_vsyscall == 0 && path.take == init_sysenter && sizeof(void*) == 4)
            cannot("find the vDSO's system call");
        if (path.signal != 0)
            on_signal(path.signal, path.take);
        take_on_all_cpus(path.take);
        print("torture: ready ");
        print(name);
        print("\n");
        for (;;)
            path.take();
    }
    cannot("take this path: ", name);
}
