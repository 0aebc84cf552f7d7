// SPDX-License-Identifier: MIT
// A source for what is made of the sources of modules alone.
