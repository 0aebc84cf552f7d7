// SPDX-License-Identifier: MIT
// user.cpp has it: the listing of its page begins with it.
