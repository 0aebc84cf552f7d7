// SPDX-License-Identifier: MIT
/// The embedding kernel's side, found by the library.
///
/// The embedder puts a header nmisafe_platform.hpp on the include path; it defines a struct
/// nmisafe_platform of static functions. README.md lists them.
#pragma once

#include "nmisafe/platform/requirements.hpp"

#include <nmisafe_platform.hpp>

namespace nmisafe::platform {

static_assert(check_contract<nmisafe_platform>());

/// The embedding kernel, as the library calls it.
using contract = nmisafe_platform;

} // namespace nmisafe::platform
