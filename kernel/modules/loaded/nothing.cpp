// SPDX-License-Identifier: MIT
// A module without a byte.
