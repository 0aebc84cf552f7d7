// SPDX-License-Identifier: MIT
#include "nmisafe/base/expected.hpp"

enum class reason : uint8_t { too_small = 1 };

nmisafe::base::expected<uint32_t, reason> half(uint32_t even) {
    if (even < 2)
        return nmisafe::base::unexpected(reason::too_small);
    return even / 2;
}

void use(uint32_t result);

void caller() {
    if (const auto result = half(84))
        use(*result);
}
