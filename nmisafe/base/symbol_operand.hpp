// SPDX-License-Identifier: MIT
/// The name of a symbol as an operand of an asm, bare: for directives, and for a .asciz.
#pragma once

// Before the operand's [name], which has the constraint "i" and is an address. g++ refuses %c for
// symbols with -mcmodel=large; clang 14 does not know %p, and %P is `symbol@PLT` for a function.
#ifdef __clang__
#define NMISAFE_SYMBOL "%c"
#else
#define NMISAFE_SYMBOL "%p"
#if defined __code_model_large__ && defined __PIC__
#error "nmisafe: g++ -fpie -mcmodel=large has no constant addresses for tables: use -fno-pie"
#endif
#endif
