// SPDX-License-Identifier: MIT
// What set(), join() and leave() are made of: the tables of sites, and the right to patch them.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/immediate/join.hpp"
#include "nmisafe/immediate/site.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

// Weak: a program may have no site at all.
extern "C" [[gnu::weak]] const nmisafe::immediate::site __start_nmisafe_immediate_sites[];
extern "C" [[gnu::weak]] const nmisafe::immediate::site __stop_nmisafe_immediate_sites[];

namespace nmisafe::immediate::internal {

inline constexpr uint8_t branch_size = 5;
inline constexpr uint8_t jump_opcode = 0xe9;
inline constexpr uint8_t wide_load_size = 10; // REX.W, opcode, 8 bytes; all others end in 4

/// How many bytes of a `mov $imm, reg` are its value.
constexpr size_t value_size(const site& where) {
    return where.size == wide_load_size ? 8 : 4;
}

/// A branch of the program's that is taken, or is not. `bytes` is of branch_size.
void encode_branch(uint8_t* bytes, const site& where, bool taken);

/// The sites of the program, and what has joined them.
///
///   who changes it                         who reads it
///   a batch, so one at a time              the same; the number of sites: anybody
struct registry {
    text_patch::patch* workspace;
    size_t workspace_size;
    uint32_t busy; // there is a batch
    site_range* joined;
    size_t joined_sites;
};
extern registry all;

/// The right to change sites and the list of tables, from construction to destruction, if error()
/// says so; and the patches that come of it. @context thread, interrupts on
class batch {
  public:
    batch();
    ~batch();
    batch(const batch&) = delete;
    batch& operator=(const batch&) = delete;

    /// The first one that there was, or 0.
    text_patch::patch_error error() const { return error_; }

    /// All sites of a key are to hold these bits.
    void add(const key& which, uintptr_t bits);

    /// A site is to hold these bits, whatever it holds now. It is known to be one.
    void add(const site& where, uintptr_t bits);

    /// All of that at one instant, or (with an error) none. @return the number of sites changed.
    base::expected<size_t, text_patch::patch_error> apply();

  private:
    /// Null: no room.
    text_patch::patch* make_patch(const site& where);

    bool owner_;
    text_patch::patch_error error_;
    size_t count_ = 0;
};

/// Calls `visit(site)` for all sites there are. Nobody joins or leaves meanwhile.
template <typename Visit>
void for_each_site(Visit visit) {
    const auto each = [&visit](const site* at, const site* end) {
        for (; at != end; ++at)
            visit(*at);
    };
    each(__start_nmisafe_immediate_sites, __stop_nmisafe_immediate_sites);
    for (const site_range* range = all.joined; range != nullptr; range = range->next)
        each(range->begin, range->end);
}

} // namespace nmisafe::immediate::internal
