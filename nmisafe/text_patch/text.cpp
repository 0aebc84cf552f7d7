// SPDX-License-Identifier: MIT
// The code as the checks see it.
#include "nmisafe/text_patch/text.hpp"

#include "nmisafe/text_patch/internal/batch.hpp"

namespace nmisafe::text_patch {

using base::expected;
using base::unexpected;
using platform::contract;
using x86::instruction_class;

// apply() publishes its batch, counts it, and only then writes; it takes the batch back when all is
// written. So a batch that has written before the code was read is seen by one of the two.
quiet_text::quiet_text()
    : batches_(__atomic_load_n(&internal::active.batches, __ATOMIC_SEQ_CST)),
      was_quiet_(__atomic_load_n(&internal::active.patches, __ATOMIC_SEQ_CST) == nullptr) {}

bool quiet_text::holds() const {
    return was_quiet_ && __atomic_load_n(&internal::active.batches, __ATOMIC_SEQ_CST) == batches_;
}

expected<decoded, walk_error> decode_at(uintptr_t address, const code_view& view) {
    size_t available = x86::maximum_instruction_length;
    while (available != 0 && !view.is_code(address, address + available))
        --available;
    if (available == 0)
        return unexpected(walk_error::not_text);
    decoded result{};
    contract::read_text(address, result.bytes, available);
    if (view.restore != nullptr)
        view.restore(address, result.bytes, available);
    const auto what = x86::decode(result.bytes, available, x86::this_width);
    if (!what)
        return unexpected(walk_error::unknown_instruction);
    result.what = *what;
    return result;
}

expected<walked, walk_error> walk(uintptr_t from, uintptr_t to, const code_view& view) {
    walked result{instruction_class::ordinary, to};
    uintptr_t at = from;
    while (at < to) {
        const auto passed = decode_at(at, view);
        if (!passed)
            return unexpected(passed.error());
        result.last = passed->what.kind;
        if (result.last == instruction_class::breakpoint && view.restore == nullptr)
            return unexpected(walk_error::unknown_instruction);
        at += passed->what.length;
        if (result.middle == to && at - from >= (to - from) / 2)
            result.middle = at;
    }
    if (at != to)
        return unexpected(walk_error::not_boundary);
    return result;
}

} // namespace nmisafe::text_patch
