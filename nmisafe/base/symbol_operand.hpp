// SPDX-License-Identifier: MIT
/// The name of a symbol as an operand of an asm, bare: for directives, and for a .asciz.
#pragma once

// NMISAFE_SYMBOL stands before the operand's [name]. g++ refuses %c for symbols with
// -mcmodel=large; clang 14 does not know %p, and %P is `symbol@PLT` for a function. In
// position-independent code clang takes the address of a variable for a constant with "s" only.
#ifdef __clang__
#define NMISAFE_SYMBOL "%c"
#define NMISAFE_SYMBOL_CONSTRAINT "s"
#else
#define NMISAFE_SYMBOL "%p"
#define NMISAFE_SYMBOL_CONSTRAINT "i"
#if defined __code_model_large__ && defined __PIC__
#error "nmisafe: g++ -fpie -mcmodel=large has no constant addresses for tables: use -fno-pie"
#endif
#endif
