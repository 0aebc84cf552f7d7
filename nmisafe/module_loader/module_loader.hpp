// SPDX-License-Identifier: MIT
/// Loads relocatable ELF objects (`cc -c`, `ld -r`) into a running kernel, and takes them out
/// again.
///
///     constinit module_loader::loaded_module module;
///
///     const auto loaded = module_loader::load(module, image, size, areas, host);
///     const auto started = module_loader::start(module);      // join, init
///     ...
///     const auto gone = module_loader::unload(module);        // exit, leave, wait, free
///
/// Its static constructors and destructors are called, in the order in which a linker would have
/// them: the former by start(), before init, the latter by stop() and unload(), after exit.
///
/// An object may define, as extern "C":
///     bool nmisafe_module_init();               called by start(); false: it cannot go on
///     void nmisafe_module_exit();               called by stop() and unload()
///     const char nmisafe_module_name[];         at most 63 characters (declare.hpp)
#pragma once

#include "nmisafe/base/address_range.hpp"
#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/module_loader/load_error.hpp"
#include "nmisafe/module_loader/memory.hpp"
#include "nmisafe/vmalloc/area.hpp"

namespace nmisafe::module_loader {

using base::address_range; // both ends 0: there is none

/// Where the three segments of a module go. The areas may be one and the same, and must stay.
///
/// How far apart they and the kernel's own code may be is the compiler's affair: with
/// -mcmodel=kernel all must lie in the highest 2 GiB. load() refuses what does not reach.
struct areas {
    const vmalloc::area* code;
    const vmalloc::area* read_only;
    const vmalloc::area* data;
};

class loaded_module;

/// What the embedding kernel does for its modules. Must stay as long as any of them. All functions
/// are called by the thread that called the loader. Those marked optional may be null.
struct host {
    void* context = nullptr; ///< Given to each function.

    /// The address of a symbol that the module does not define, 0 if there is none. Called once for
    /// each that a relocation names. @see exports.hpp
    uintptr_t (*find_symbol)(void* context, const char* name) = nullptr;

    /// Optional. Asked for each weak symbol that the module *does* define and a relocation names:
    /// inline functions and variables, templates. An address replaces the definition; with 0 the
    /// module keeps its own. So a kernel can share its inline variables, if it wants to.
    uintptr_t (*find_replacement)(void* context, const char* name) = nullptr;

    /// Optional. Called by start(), before init: the place to add the module's code to what is
    /// text, its tables to those of the kernel (loaded_module::find_section()). With false start()
    /// fails, and leave() is not called: join() has undone what it did.
    bool (*join)(void* context, loaded_module& which) = nullptr;

    /// Optional. Called after exit, or after an init that failed: undoes join(). When it returns
    /// nothing leads into the module any more, so that nobody newly enters it.
    void (*leave)(void* context, loaded_module& which) = nullptr;

    /// Called after leave() or a join() that failed, and before memory is given back. Returns true
    /// when nobody is in the module's code, or reads its data, any more: a grace period, which has
    /// seen each CPU outside of all code that runs with the preempt count raised. It need not see
    /// threads that were preempted with a count of 0: those hold a use (loaded_module::get()).
    /// False: for somebody it cannot wait. Then the module stays in memory, `stopped`, and unload()
    /// will ask again.
    bool (*wait_until_unused)(void* context, loaded_module& which) = nullptr;

    const memory_functions* memory = nullptr; ///< &vmalloc_memory
};

enum class module_state : uint32_t {
    empty = 0, ///< Not loaded.
    working,   ///< A call is at work on it.
    loaded,    ///< In memory; nothing of it has run.
    live,      ///< Joined and initialised.
    stopped,   ///< Exited and left.
    kept,      ///< Memory that could not be given back; unload() tries again.
};

/// A module, or room for one: owned by the caller, and used again as often as it is empty. It must
/// be resident, and stay while it is not empty.
///
/// Who may run with whom: load(), start(), stop() and unload() exclude each other by `state`, and
/// refuse with `busy` rather than wait. get() and put() run with anything. All else reads, and must
/// not run with load() and unload().
class loaded_module {
  public:
    constexpr loaded_module() = default;
    loaded_module(const loaded_module&) = delete;
    loaded_module& operator=(const loaded_module&) = delete;

    /// @context any
    module_state state() const {
        return static_cast<module_state>(__atomic_load_n(&state_, __ATOMIC_ACQUIRE));
    }

    /// As the module gives it, or "". @context any
    const char* name() const { return name_; }

    /// The segments, as large as what is in them. @context any
    address_range code() const { return range_of(0); }
    address_range read_only() const { return range_of(1); }
    address_range data() const { return range_of(2); }

    /// The bytes of all sections of that name, of which several lie side by side in the order of
    /// the file, with padding only where the next one's alignment asks for it. Costs a look at each
    /// name that the object has. @context thread: reads memory that may be mapped lazily
    address_range find_section(const char* name) const;

    /// All of them, by numbers from 0 on: those with the same name are one, and those without a byte
    /// are none. @context thread, as find_section()
    uint32_t section_count() const { return directory_count_; }
    struct section {
        const char* name;
        address_range bytes;
    };
    section section_at(uint32_t number) const;

    /// Takes a use: while one is held the module is neither stopped nor unloaded. False if it is
    /// not live, or about to be stopped. To be taken before the module is entered, and put by code
    /// outside of it, by whoever may be preempted in it with a preempt count of 0, or sleeps in it,
    /// or keeps a pointer to it over such a time. @context any, NMI included. Lock-free.
    bool get() {
        uint32_t uses = __atomic_load_n(&uses_, __ATOMIC_RELAXED);
        do {
            if (uses >= most_uses)
                return false;
        } while (!__atomic_compare_exchange_n(&uses_, &uses, uses + 1, false, __ATOMIC_ACQUIRE,
                                              __ATOMIC_RELAXED));
        return true;
    }
    /// Gives a use back. @context any, NMI included
    void put() { __atomic_fetch_sub(&uses_, 1, __ATOMIC_RELEASE); }
    /// How many are held. @context any
    uint32_t use_count() const {
        const uint32_t uses = __atomic_load_n(&uses_, __ATOMIC_RELAXED);
        return uses == closed ? 0 : uses;
    }

    /// More about the error of the latest load(). @context thread
    const refusal& latest_refusal() const { return refusal_; }

  private:
    friend class loader;

    static constexpr uint32_t closed = 0x80000000;
    static constexpr uint32_t most_uses = closed - 1;
    static constexpr size_t mapping_count = 4; // the segments, and what load() works with

    static constexpr size_t call_kinds = 2; // constructors, destructors

    struct mapping {
        void* memory;
        uintptr_t begin; // of what is in it: as it is aligned
        size_t size;     // of what is in it
    };
    struct call_list {
        void (*const* functions)();
        uint32_t count;
    };
    address_range range_of(size_t segment) const {
        const uintptr_t begin = mappings_[segment].begin;
        return {begin, begin + mappings_[segment].size};
    }

    uint32_t state_ = 0; // a module_state; the atomic builtins want an integer
    uint32_t uses_ = closed;
    const char* name_ = "";
    const host* host_ = nullptr;
    areas areas_ = {};
    mapping mappings_[mapping_count] = {};
    bool (*init_)() = nullptr;
    void (*exit_)() = nullptr;
    call_list calls_[call_kinds] = {};
    const void* directory_ = nullptr; // of sections, in the read-only segment
    uint32_t directory_count_ = 0;
    refusal refusal_ = {};
};

/// Puts an object into memory, relocated and protected; runs nothing of it. All of the object is
/// checked before memory is asked for, and the image is only read: it may lie anywhere, at any
/// alignment, but must not change meanwhile. With an error the module is empty and nothing is left
/// behind (but see `kept`).
///
/// Time is linear in the size of the image, but for a sort of the sections' names, and for the
/// host's find_symbol(). Working memory for it is in the data area meanwhile.
/// @context thread, interrupts on. @return bytes of the three segments.
base::expected<size_t, load_error> load(loaded_module& which, const void* image, size_t size,
                                        const areas& where, const host& with);

/// Calls join, constructors and init. With an error (join_refused, init_failed) all is undone:
/// destroyed, left, waited for, and unloaded; or `stopped`, if wait_until_unused() says that
/// somebody still needs it. Its tables are joined as they are: an object that is not trusted must
/// not be started. @context thread, interrupts on. @return bytes of the three segments.
base::expected<size_t, load_error> start(loaded_module& which);

/// Calls exit, destructors and leave: the module stays in memory, for who is still in it. `in_use`:
/// a use is held; nothing has changed. @context thread, interrupts on. @return bytes of the three
/// segments.
base::expected<size_t, load_error> stop(loaded_module& which);

/// Stops the module if it is live, waits until it is unused if it ever was live, and gives its
/// memory back. `in_use`: as stop(), or wait_until_unused() returned false, then the module is
/// stopped. @context thread, interrupts on, the preempt count at 0 as far as
/// wait_until_unused() asks for that, and not in the module. @return bytes given back.
base::expected<size_t, load_error> unload(loaded_module& which);

} // namespace nmisafe::module_loader
