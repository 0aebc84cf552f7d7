// SPDX-License-Identifier: MIT
/// Immediate values: variables that stand in the instructions that read them.
///
///     // a header
///     extern nmisafe::immediate::immediate<bool> tracing;
///     // one source file
///     constinit nmisafe::immediate::immediate<bool> tracing;
///     // anywhere, in any context, also in NMI
///     if (nmisafe::immediate::branch<tracing>()) ...
///     // in a thread
///     const auto changed = nmisafe::immediate::set(tracing, true);
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/immediate/internal/batch.hpp"
#include "nmisafe/immediate/site.hpp"
#include "nmisafe/immediate/x86/record.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

namespace nmisafe::immediate {

/// What an immediate value may be. On x86-32 an 8-byte value would take two instructions, and a
/// trap between them would see half of it: so there is none.
template <typename T>
concept immediate_type = (std::is_integral_v<T> || std::is_enum_v<T> ||
                          std::is_pointer_v<T>)&&sizeof(T) <= sizeof(uintptr_t);

namespace internal {

/// The bits of a value, zero-extended.
template <immediate_type T>
constexpr uintptr_t encode(T value) {
    if constexpr (std::is_pointer_v<T>)
        return value == nullptr ? 0 : reinterpret_cast<uintptr_t>(value);
    else if constexpr (std::is_enum_v<T>)
        return encode(static_cast<std::underlying_type_t<T>>(value));
    else if constexpr (std::is_same_v<T, bool>)
        return value ? 1 : 0;
    else
        return static_cast<std::make_unsigned_t<T>>(value);
}

template <immediate_type T>
[[gnu::always_inline]] inline T decode(uintptr_t bits) {
    if constexpr (std::is_pointer_v<T>)
        return reinterpret_cast<T>(bits);
    else
        return static_cast<T>(bits);
}

base::expected<size_t, text_patch::patch_error> set(key& which, uintptr_t bits);

} // namespace internal

/// An immediate value: at namespace scope, constinit, with linkage. In code that is compiled as
/// position-independent, clang also wants it to have hidden visibility.
///
/// Its sites begin with `Initial`, because the assembler writes them; a pointer begins as null.
template <immediate_type T, T Initial = T{}>
class immediate : private key {
    static_assert(!std::is_pointer_v<T> || Initial == T{}, "an immediate pointer begins as null");

  public:
    using value_type = T;
    static constexpr uintptr_t initial_bits = internal::encode(Initial);

    constexpr immediate() : key{initial_bits} {}
    immediate(const immediate&) = delete;
    immediate& operator=(const immediate&) = delete;

    /// What the latest set() has left, from memory. @context any
    T stored() const { return internal::decode<T>(__atomic_load_n(&bits, __ATOMIC_RELAXED)); }

    /// The part that set() and the table of sites know. @context any
    key& as_key() { return *this; }
};

/// The value, by one MOV of an immediate into a register: no load, so nothing that could be cold in
/// the cache. `Key` is a variable of type immediate<>.
/// @context any, NMI included; also while set() is at work.
template <auto& Key>
[[gnu::always_inline]] inline auto read() {
    using type = std::remove_cvref_t<decltype(Key)>;
    using value_type = typename type::value_type;
#ifdef __x86_64__
    if constexpr (sizeof(value_type) == 8)
        return internal::decode<value_type>(internal::read_64<Key, type::initial_bits>());
    else
#endif
        return internal::decode<value_type>(internal::read_32<Key, type::initial_bits>());
}

/// Whether a bool is true, by a NOP that set() turns into a jump: no register, no compare, no
/// conditional jump. The code for true is best marked [[unlikely]].
/// @context any, NMI included; also while set() is at work.
template <auto& Key>
[[gnu::always_inline]] inline bool branch() {
    using type = std::remove_cvref_t<decltype(Key)>;
    static_assert(std::is_same_v<typename type::value_type, bool>, "a branch is on a bool");
    return internal::branch<Key, type::initial_bits != 0>();
}

/// Gives set() and join() memory for their batches: as many patches as the key with the most sites
/// has, or as a table that joins has sites with another value than their key's; site_count() is
/// enough for each. It stays theirs, and must be resident. @context thread, not during either
void use_workspace(text_patch::patch* storage, size_t count);

/// Sites of all keys in the program and in what has joined it. @context any
size_t site_count();

/// Sites of one key. @context any, while no join() or leave() is at work
size_t site_count(const key& which);

/// Changes the value at every site of the key: all at one instant, or none. Costs what
/// text_patch::apply() costs, three synchronisations of all CPUs; nothing if the value is what it
/// was.
///
/// Errors are those of apply(). `busy`: another patcher is at work, try again. `no_room`: the key
/// has more sites than the workspace has room for. `unexpected_bytes`: a site is not as this module
/// left it, or a probe stands on it: until that is removed its instruction stays, and so the value
/// of the key at all its sites. @return the number of sites changed.
/// @context thread, interrupts on.
template <immediate_type T, T Initial>
base::expected<size_t, text_patch::patch_error> set(immediate<T, Initial>& which,
                                                    std::type_identity_t<T> value) {
    return internal::set(which.as_key(), internal::encode(value));
}

/// Changes any number of keys at one instant, or none, and at the price of one. `for_each(change)`
/// calls `change(key, bits)` for each, with the bits of its type; it is called twice, and must do
/// the same both times. Errors as set()'s. @return the number of sites changed.
/// @context thread, interrupts on
template <typename ForEach>
base::expected<size_t, text_patch::patch_error> set_together(ForEach for_each) {
    internal::batch changes;
    for_each([&](const key& which, uintptr_t bits) { changes.add(which, bits); });
    const auto applied = changes.apply();
    if (applied)
        for_each([](key& which, uintptr_t bits) {
            __atomic_store_n(&which.bits, bits, __ATOMIC_RELAXED);
        });
    return applied;
}

} // namespace nmisafe::immediate
