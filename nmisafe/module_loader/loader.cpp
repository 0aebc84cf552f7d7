// SPDX-License-Identifier: MIT
// The life of a module: memory, permissions, and who is called when.
//
//   empty --load--> loaded --start--> live --stop--> stopped --unload--> empty
//
// Each call takes the module from the state it needs to `working`; so two calls at once exclude
// each other, and neither waits.
#include "nmisafe/module_loader/module_loader.hpp"

#include "nmisafe/module_loader/internal/link.hpp"
#include "nmisafe/platform/waiting.hpp"

namespace nmisafe::module_loader {

namespace {

using base::expected;
using base::unexpected;
using internal::elf_native;

constexpr load_error no_error{};
constexpr size_t working_mapping = internal::segment_count;

} // namespace

class loader {
    static_assert(loaded_module::call_kinds == internal::call_kinds);

  public:
    explicit loader(loaded_module& which) : module_(which) {}

    load_error take(module_state from) {
        if (platform::waiting_here() == platform::waiting::in_nmi)
            return load_error::in_nmi;
        auto found = static_cast<uint32_t>(from);
        if (__atomic_compare_exchange_n(&module_.state_, &found,
                                        static_cast<uint32_t>(module_state::working), false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return no_error;
        return static_cast<module_state>(found) == module_state::working ? load_error::busy
                                                                         : load_error::wrong_state;
    }
    /// Ends the work. @return `why`.
    load_error give(module_state to, load_error why = no_error) {
        __atomic_store_n(&module_.state_, static_cast<uint32_t>(to), __ATOMIC_RELEASE);
        return why;
    }

    bool may_synchronise() const { return module_.host_->memory->may_synchronise(); }

    size_t size() const {
        size_t sum = 0;
        for (size_t i = 0; i < internal::segment_count; ++i)
            sum += module_.mappings_[i].size;
        return sum;
    }

    // --- load ------------------------------------------------------------------------------------

    load_error load(const void* image, size_t size, const areas& where, const host& with) {
        module_.host_ = &with;
        module_.areas_ = where;
        module_.refusal_ = {};
        if (!may_synchronise())
            return load_error::cannot_synchronise;
        internal::object<elf_native> object{static_cast<const uint8_t*>(image), size};
        if (!internal::checker<elf_native>(object, module_.refusal_).check())
            return module_.refusal_.why;
        load_error why = build(object);
        if (why == no_error && !release(working_mapping))
            why = load_error::memory_kept;
        module_.refusal_.why = why;
        return why;
    }

    /// Gives all memory back and forgets the module. @return its state then.
    module_state clear() {
        bool all = true;
        for (size_t i = 0; i < loaded_module::mapping_count; ++i)
            all = release(i) && all;
        module_.name_ = "";
        module_.init_ = nullptr;
        module_.exit_ = nullptr;
        for (auto& one : module_.calls_)
            one = {};
        module_.directory_ = nullptr;
        module_.directory_count_ = 0;
        return all ? module_state::empty : module_state::kept;
    }

    // --- start and stop --------------------------------------------------------------------------

    load_error start() {
        const host& with = *module_.host_;
        if (with.join != nullptr && !with.join(with.context, module_))
            return load_error::join_refused;
        call_all(internal::constructors);
        if (module_.init_ != nullptr && !module_.init_()) {
            call_all(internal::destructors);
            leave();
            return load_error::init_failed;
        }
        __atomic_store_n(&module_.uses_, 0, __ATOMIC_RELEASE);
        return no_error;
    }

    /// No more uses, if there are none now. The pairing acquire of the last put()'s release.
    bool close() {
        uint32_t none = 0;
        return __atomic_compare_exchange_n(&module_.uses_, &none, loaded_module::closed, false,
                                           __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    }

    void stop() {
        if (module_.exit_ != nullptr)
            module_.exit_();
        call_all(internal::destructors);
        leave();
    }

    bool wait_until_unused() {
        return module_.host_->wait_until_unused(module_.host_->context, module_);
    }

  private:
    const vmalloc::area& area_of(size_t mapping) const {
        if (mapping == internal::code_segment)
            return *module_.areas_.code;
        return mapping == internal::read_only_segment ? *module_.areas_.read_only
                                                      : *module_.areas_.data;
    }

    /// No memory for no bytes. What begins at a page is asked for; for more than that there must be
    /// room to begin later.
    bool allocate(size_t mapping, uint64_t size, uint64_t alignment) {
        if (size == 0)
            return true;
        const uint64_t room = alignment > internal::page_size ? alignment - internal::page_size : 0;
        void* const memory =
            module_.host_->memory->allocate(area_of(mapping), static_cast<size_t>(size + room));
        if (memory == nullptr)
            return false;
        const auto address = reinterpret_cast<uintptr_t>(memory);
        const uintptr_t begin = room != 0 ? (address + static_cast<uintptr_t>(alignment) - 1) &
                                                ~(static_cast<uintptr_t>(alignment) - 1)
                                          : address;
        module_.mappings_[mapping] = {memory, begin, static_cast<size_t>(size)};
        return true;
    }

    bool release(size_t mapping) {
        auto& one = module_.mappings_[mapping];
        if (one.memory != nullptr && !module_.host_->memory->release(area_of(mapping), one.memory))
            return false;
        one = {};
        return true;
    }

    bool protect(size_t mapping, vmalloc::permission may) {
        const auto& one = module_.mappings_[mapping];
        return one.memory == nullptr ||
               module_.host_->memory->protect(area_of(mapping), one.memory, may);
    }

    /// What has been checked becomes code and data.
    load_error build(const internal::object<elf_native>& object) {
        if (!allocate(working_mapping, internal::working_size(object), 1))
            return load_error::no_memory;
        auto* const places =
            static_cast<internal::placement*>(module_.mappings_[working_mapping].memory);
        auto* const values =
            reinterpret_cast<internal::symbol_value*>(places + object.section_count);
        internal::layout_result layout;
        if (!internal::layouter<elf_native>(object, places, values, layout, module_.refusal_)
                 .lay_out())
            return module_.refusal_.why;

        internal::segment_memory segments[internal::segment_count];
        for (size_t i = 0; i < internal::segment_count; ++i) {
            if (!allocate(i, layout.sizes[i], layout.alignments[i]))
                return load_error::no_memory;
            const uintptr_t begin = module_.mappings_[i].begin;
            segments[i] = {reinterpret_cast<uint8_t*>(begin), begin};
        }
        const host& with = *module_.host_;
        internal::entry_points entries;
        if (!internal::linker<elf_native>(object, places, values, layout, segments,
                                          {with.context, with.find_symbol, with.find_replacement},
                                          module_.refusal_)
                 .link(entries))
            return module_.refusal_.why;
        publish(layout, entries);
        if (!protect(internal::code_segment, vmalloc::permission::execute) ||
            !protect(internal::read_only_segment, vmalloc::permission::read_only))
            return load_error::not_protected;
        return no_error;
    }

    void publish(const internal::layout_result& layout, const internal::entry_points& entries) {
        module_.init_ = reinterpret_cast<bool (*)()>(static_cast<uintptr_t>(entries.init));
        module_.exit_ = reinterpret_cast<void (*)()>(static_cast<uintptr_t>(entries.exit));
        for (size_t kind = 0; kind < internal::call_kinds; ++kind)
            module_.calls_[kind] = {reinterpret_cast<void (*const*)()>(
                                        static_cast<uintptr_t>(entries.calls[kind].address)),
                                    entries.calls[kind].count};
        if (entries.name != 0)
            module_.name_ = reinterpret_cast<const char*>(static_cast<uintptr_t>(entries.name));
        module_.directory_count_ = layout.directory_count;
        if (layout.directory_count != 0)
            module_.directory_ = reinterpret_cast<const void*>(
                module_.read_only().begin + static_cast<size_t>(layout.directory));
    }

    void call_all(internal::call_kind kind) {
        const auto& list = module_.calls_[kind];
        for (uint32_t i = 0; i < list.count; ++i)
            list.functions[i]();
    }

    void leave() {
        const host& with = *module_.host_;
        if (with.leave != nullptr)
            with.leave(with.context, module_);
    }

    loaded_module& module_;
};

loaded_module::section loaded_module::section_at(uint32_t number) const {
    const auto& entry =
        static_cast<const internal::directory_entry<elf_native>*>(directory_)[number];
    return {static_cast<const char*>(directory_) + entry.name, {entry.begin, entry.end}};
}

address_range loaded_module::find_section(const char* name) const {
    for (uint32_t i = 0; i < directory_count_; ++i) {
        const section one = section_at(i);
        if (internal::same_string(one.name, name))
            return one.bytes;
    }
    return {0, 0};
}

expected<size_t, load_error> load(loaded_module& which, const void* image, size_t size,
                                  const areas& where, const host& with) {
    loader one(which);
    if (const load_error why = one.take(module_state::empty); why != no_error)
        return unexpected(why);
    if (const load_error why = one.load(image, size, where, with); why != no_error)
        return unexpected(one.give(one.clear(), why));
    const size_t bytes = one.size();
    one.give(module_state::loaded);
    return bytes;
}

expected<size_t, load_error> start(loaded_module& which) {
    loader one(which);
    if (const load_error why = one.take(module_state::loaded); why != no_error)
        return unexpected(why);
    if (!one.may_synchronise())
        return unexpected(one.give(module_state::loaded, load_error::cannot_synchronise));
    if (const load_error why = one.start(); why != no_error) {
        const bool is_unused = one.wait_until_unused();
        return unexpected(one.give(is_unused ? one.clear() : module_state::stopped, why));
    }
    const size_t bytes = one.size();
    one.give(module_state::live);
    return bytes;
}

expected<size_t, load_error> stop(loaded_module& which) {
    loader one(which);
    if (const load_error why = one.take(module_state::live); why != no_error)
        return unexpected(why);
    if (!one.may_synchronise())
        return unexpected(one.give(module_state::live, load_error::cannot_synchronise));
    if (!one.close())
        return unexpected(one.give(module_state::live, load_error::in_use));
    one.stop();
    const size_t bytes = one.size();
    one.give(module_state::stopped);
    return bytes;
}

expected<size_t, load_error> unload(loaded_module& which) {
    module_state from = which.state();
    if (from == module_state::live) {
        if (const auto stopped = stop(which); !stopped)
            return unexpected(stopped.error());
        from = module_state::stopped;
    }
    // An empty module, or one that a call is at work on, is not in a state to begin from.
    if (from == module_state::empty || from == module_state::working)
        from = module_state::stopped;
    loader one(which);
    if (const load_error why = one.take(from); why != no_error)
        return unexpected(why);
    if (!one.may_synchronise())
        return unexpected(one.give(from, load_error::cannot_synchronise));
    if (from == module_state::stopped && !one.wait_until_unused())
        return unexpected(one.give(module_state::stopped, load_error::in_use));
    const size_t size = one.size();
    const module_state to = one.clear();
    one.give(to);
    if (to != module_state::empty)
        return unexpected(load_error::memory_kept);
    return size;
}

} // namespace nmisafe::module_loader
