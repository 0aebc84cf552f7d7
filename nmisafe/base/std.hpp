// SPDX-License-Identifier: MIT
/// The standard headers that library code may use: nine, and only through this file.
///
/// They need neither libc nor floating point, on g++ 12 and clang 14, both widths, also with
/// -mgeneral-regs-only; <limits>, <atomic>, <array> and others fail there. tests/check_layers
/// rejects any other header in library code.
#pragma once

#include "nmisafe/base/language.hpp"

#include <bit>
#include <compare>
#include <concepts>
#include <initializer_list>
#include <new>
#include <stddef.h>
#include <stdint.h>
#include <type_traits>
#include <utility>
