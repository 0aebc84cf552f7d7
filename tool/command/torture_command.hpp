// SPDX-License-Identifier: MIT
// `nmisafe torture`.
#pragma once

#include "tool/torture/options.hpp"

namespace nmisafe::tool {

// Exit statuses as `run`'s: 1 if there is a finding.
int torture_command(const torture::torture_options& options);

} // namespace nmisafe::tool
