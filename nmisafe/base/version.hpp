// SPDX-License-Identifier: MIT
/// The version of this tree, for code that has to serve several: CHANGELOG.md says what changed, and what stays.
#pragma once

#define NMISAFE_VERSION_MAJOR 0
#define NMISAFE_VERSION_MINOR 1
#define NMISAFE_VERSION_PATCH 0
