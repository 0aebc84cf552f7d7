// SPDX-License-Identifier: MIT
// The code as the checks see it.
#include "nmisafe/text_patch/text.hpp"

namespace nmisafe::text_patch {

using base::expected;
using base::unexpected;
using platform::contract;
using x86::instruction_class;

expected<decoded, walk_error> decode_at(uintptr_t address, original_bytes restore) {
    size_t available = x86::maximum_instruction_length;
    while (available != 0 && !is_code(address, address + available))
        --available;
    if (available == 0)
        return unexpected(walk_error::not_text);
    decoded result{};
    contract::read_text(address, result.bytes, available);
    if (restore != nullptr)
        restore(address, result.bytes, available);
    const auto what = x86::decode(result.bytes, available, x86::this_width);
    if (!what)
        return unexpected(walk_error::unknown_instruction);
    result.what = *what;
    return result;
}

expected<instruction_class, walk_error> walk(uintptr_t from, uintptr_t to, original_bytes restore) {
    auto last = instruction_class::ordinary;
    uintptr_t at = from;
    while (at < to) {
        const auto passed = decode_at(at, restore);
        if (!passed)
            return unexpected(passed.error());
        last = passed->what.kind;
        if (last == instruction_class::breakpoint && restore == nullptr)
            return unexpected(walk_error::unknown_instruction);
        at += passed->what.length;
    }
    if (at != to)
        return unexpected(walk_error::not_boundary);
    return last;
}

} // namespace nmisafe::text_patch
