// SPDX-License-Identifier: MIT
// What compilers make when nobody tells them that it is for a kernel, loaded and executed:
// position-independent code, global objects, what is aligned beyond a page; and what they make that
// is refused, for the reason that it has.
#include "nmisafe/module_loader/objects_test.hpp"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr size_t most_notes = 64;

/// What order.cpp notes. Linked into this program it does so before main() and behind it, in a
/// child then.
struct note_pad {
    size_t count;
    char notes[most_notes];
};
note_pad own_notes;
note_pad* pad = &own_notes;

} // namespace

extern "C" void program_note(char which) {
    pad->notes[pad->count++] = which;
}

namespace nmisafe::module_loader::objects {

namespace {

std::string take_notes() {
    const std::string taken(pad->notes, pad->count);
    pad->count = 0;
    return taken;
}

/// The runtime library of those modules.
struct runtime {
    struct registered {
        void (*function)(void*);
        void* argument;
        void* handle;
    };
    static inline std::vector<registered> at_exit;
    static inline unsigned registrations;
    static inline unsigned removals;

    static int add(void (*function)(void*), void* argument, void* handle) {
        at_exit.push_back({function, argument, handle});
        return 0;
    }
    /// As a host's leave() would: what the module has registered, the last first.
    static void run(const loaded_module& which) {
        while (!at_exit.empty()) {
            const registered one = at_exit.back();
            at_exit.pop_back();
            CHECK(one.handle == reinterpret_cast<void*>(which.read_only().begin));
            one.function(one.argument);
        }
    }
    static int enter_guard(char* guard) { return *guard == 0; }
    static void leave_guard(char* guard) { *guard = 1; }
    static void never_called() { std::abort(); }
};

template <typename F>
uintptr_t address_of(F* function) {
    return reinterpret_cast<uintptr_t>(function);
}

struct compiled_fixture : fixture {
    compiled_fixture() {
        runtime::at_exit.clear();
        runtime::registrations = runtime::removals = 0;
        with.symbols["__cxa_atexit"] = address_of(runtime::add);
        with.symbols["__cxa_guard_acquire"] = address_of(runtime::enter_guard);
        with.symbols["__cxa_guard_release"] = address_of(runtime::leave_guard);
        for (const char* const name :
             {"__cxa_guard_abort", "_Unwind_Resume", "__gxx_personality_v0", "_ZdlPv", "_ZdlPvm",
              "_ZdlPvj", "_ZTVN10__cxxabiv117__class_type_infoE",
              "_ZTVN10__cxxabiv120__si_class_type_infoE"})
            with.symbols[name] = address_of(runtime::never_called);
        with.symbols["program_note"] = address_of(program_note);
        with.functions.leave = [](void* self, loaded_module& which) {
            static_cast<test_host*>(self)->calls += "leave ";
            runtime::run(which);
        };
    }

    void expect_refused(const std::string& name, load_error why) {
        CAPTURE(name);
        const image from = read(name);
        const auto loaded =
            load(module, from.data(), from.size(), test::near_areas, with.functions);
        REQUIRE_FALSE(loaded);
        CHECK(loaded.error() == why);
        CHECK(module.latest_refusal().why == why);
        CHECK(module.state() == module_state::empty);
    }
};

std::vector<std::string> of_both(const std::string& name) {
    return {name + ".gcc.O2.o", name + ".clang.O2.o"};
}

} // namespace

TEST_CASE_FIXTURE(compiled_fixture, "what compilers make by default works, and all ways of PIC") {
    for (const char* const kind : {"default", "pie", "pic", "no_plt", "static_no_plt", "large"}) {
        for (const std::string& name : variants(std::string("ordinary_") + kind)) {
            if (std::string(kind) == "large" && sizeof(void*) == 4)
                continue;
            CAPTURE(name);
            for (const bool is_defined : {false, true}) {
                if (is_defined)
                    with.symbols["_Z6absentv"] = address_of(+[] { return 5; });
                else
                    with.symbols.erase("_Z6absentv");
                ::program::calls = ::program::number = 0;
                with.calls.clear();
                load_and_start(read(name)); // init has looked at all
                CHECK(std::string(module.name()) == "ordinary");
                CHECK(::program::calls == 1);
                unload_it();
                CHECK(::program::calls == 1 + 100 + 1101 + 11); // exit, second, first
                CHECK(with.calls == "join leave wait ");
            }
        }
    }
}

TEST_CASE_FIXTURE(compiled_fixture,
                  "the global offset table is read only, a slot for each symbol") {
    // The same code with and without it: the table is what the read-only segment has more.
    const image from = read("ordinary_pic.gcc.O2.o");
    REQUIRE(load(module, from.data(), from.size(), test::near_areas, with.functions));
    const address_range constants = module.read_only();
    size_t found = 0;
    for (uintptr_t at = constants.begin; at + sizeof(uintptr_t) <= constants.end;
         at += sizeof(uintptr_t))
        found +=
            *reinterpret_cast<uintptr_t*>(at) == reinterpret_cast<uintptr_t>(&::program::number);
    CHECK(found == 1);
    CHECK(std::string(test::permission_of(constants.begin)) == "r--");
    unload_it();
}

TEST_CASE_FIXTURE(compiled_fixture, "objects for the link-time optimizer that have code, too") {
    for (const char* const level : {"O0", "O2"}) {
        ::program::number = 0;
        load_and_start(read(std::string("ordinary_fat.gcc.") + level + ".o"));
        unload_it();
    }
}

TEST_CASE_FIXTURE(compiled_fixture, "a failing init has what was constructed destroyed") {
    const image from = read("ordinary_pie.gcc.O2.o");
    REQUIRE(load(module, from.data(), from.size(), test::near_areas, with.functions));
    ::program::number = 1; // not as init wants it
    const auto started = start(module);
    REQUIRE_FALSE(started);
    CHECK(started.error() == load_error::init_failed);
    CHECK(::program::calls == 1 + 1101 + 11); // no exit
    CHECK(with.calls == "join leave wait ");
}

namespace {

std::string without_capitals(const std::string& from) {
    std::string kept;
    for (const char one : from)
        if (one < 'A' || one > 'Z')
            kept += one;
    return kept;
}

/// What a child notes that ends as programs do. lld leaves tables of the older kind to others.
std::string notes_at_exit() {
    void* const shared =
        mmap(nullptr, most_notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        pad = static_cast<note_pad*>(shared);
        std::exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    note_pad* const mine = std::exchange(pad, static_cast<note_pad*>(shared));
    const std::string taken = take_notes();
    pad = mine;
    munmap(shared, sizeof(note_pad));
    return taken;
}

std::string as_linked(const std::string& from) {
    return NMISAFE_LINKED_BY_BFD ? from : without_capitals(from);
}

} // namespace

TEST_CASE_FIXTURE(compiled_fixture, "constructors and destructors in a linker's order") {
    static const std::string constructed = take_notes(); // of this program, linked with order.o
    const std::string destroyed = notes_at_exit();
    MESSAGE("as linked: ", constructed, ", ", destroyed);
    CHECK(constructed.size() > 10);
    for (const std::string& name : of_both("order")) {
        CAPTURE(name);
        load_and_start(read(name));
        const std::string by_loader = take_notes();
        unload_it();
        if (name.find(NMISAFE_LINKED_ORDER) != std::string::npos) {
            CHECK(as_linked(by_loader) == constructed);
            CHECK(as_linked(take_notes()) == destroyed);
        } else {
            // Another compiler has those without a priority in another order in its file.
            const std::string prioritised = "aCBEDfghijkyZ";
            CHECK(by_loader.substr(0, prioritised.size()) == prioritised);
            take_notes();
        }
    }
}

TEST_CASE_FIXTURE(compiled_fixture, "sanitizers and coverage register, and unregister") {
    with.functions.find_symbol = [](void*, const char* name) {
        const std::string wanted(name);
        if (wanted.find("unregister") != std::string::npos)
            return address_of(+[] { ++runtime::removals; });
        if (wanted == "__gcov_exit")
            return address_of(+[] { ++runtime::removals; });
        if (wanted.find("asan") != std::string::npos || wanted.find("gcov") != std::string::npos)
            return address_of(+[] { ++runtime::registrations; });
        if (wanted.find("gcda") != std::string::npos) // what would write the counts
            return address_of(runtime::never_called);
        return uintptr_t{0};
    };
    for (const char* const kind : {"kasan", "coverage"}) {
        for (const std::string& name : of_both(kind)) {
            CAPTURE(name);
            runtime::registrations = runtime::removals = 0;
            load_and_start(read(name));
            CHECK(runtime::registrations == 1);
            CHECK(runtime::removals == 0);
            unload_it();
            const unsigned removals = name.find("coverage.clang") == 0 ? 0 : 1;
            CHECK(runtime::removals == removals);

            // And if its init fails.
            const image from = read(name);
            REQUIRE(load(module, from.data(), from.size(), test::near_areas, with.functions));
            const address_range data = module.find_section(".data");
            for (uintptr_t at = data.begin; at < data.end; at += sizeof(int))
                if (int& number = *reinterpret_cast<int*>(at); number == 3)
                    number = 0;
            runtime::removals = 0;
            const auto started = start(module);
            REQUIRE_FALSE(started);
            CHECK(started.error() == load_error::init_failed);
            CHECK(runtime::removals == removals);
        }
    }
}

TEST_CASE_FIXTURE(compiled_fixture,
                  "the sections by number are those by name, and lie in the segments") {
    for (const std::string& name : variants("aligned")) {
        CAPTURE(name);
        load_and_start(read(name));
        uintptr_t code = 0;
        REQUIRE(module.section_count() > 2);
        for (uint32_t i = 0; i < module.section_count(); ++i) {
            const auto one = module.section_at(i);
            CHECK(module.find_section(one.name).begin == one.bytes.begin);
            CHECK(module.find_section(one.name).end == one.bytes.end);
            if (one.bytes.begin >= module.code().begin && one.bytes.end <= module.code().end)
                code += one.bytes.end - one.bytes.begin;
        }
        CHECK(code > 0);
        CHECK(code <= module.code().end - module.code().begin);
        unload_it();
    }
}

TEST_CASE_FIXTURE(compiled_fixture, "what is aligned beyond a page lies so") {
    for (const std::string& name : variants("aligned")) {
        CAPTURE(name);
        load_and_start(read(name)); // init has looked
        CHECK(module.read_only().begin % 0x200000 == 0);
        CHECK(std::string(test::permission_of(module.code().begin)) == "r-x");
        CHECK(std::string(test::permission_of(module.read_only().begin)) == "r--");
        CHECK(std::string(test::permission_of(module.data().begin)) == "rw-");
        unload_it();
    }
}

TEST_CASE_FIXTURE(compiled_fixture, "what is refused is refused for its reason, by name") {
    for (const std::string& name : of_both("slim"))
        expect_refused(name, load_error::intermediate_code);
    for (const std::string& name : of_both("thread_local")) {
        expect_refused(name, load_error::unsupported_symbol);
        CHECK(std::string(module.latest_refusal().symbol) == "thread_local_number");
    }
    for (const std::string& name : of_both("thread_local_elsewhere")) {
        expect_refused(name, load_error::unsupported_symbol);
        CHECK(std::string(module.latest_refusal().symbol).find("thread_local_number") !=
              std::string::npos);
    }
    for (const std::string& name : of_both("indirect")) {
        expect_refused(name, load_error::unsupported_symbol);
        CHECK(std::string(module.latest_refusal().symbol) == "indirect_function");
    }
}

} // namespace nmisafe::module_loader::objects
