// SPDX-License-Identifier: MIT
// Exception vectors, for C++ and assembly alike. [intel/vol3 table 6-1]
#ifndef NMISAFE_X86_VECTORS_H
#define NMISAFE_X86_VECTORS_H

#define X86_VECTOR_DE 0
#define X86_VECTOR_DB 1
#define X86_VECTOR_NMI 2
#define X86_VECTOR_BP 3
#define X86_VECTOR_UD 6
#define X86_VECTOR_DF 8
#define X86_VECTOR_NP 11
#define X86_VECTOR_SS 12
#define X86_VECTOR_GP 13
#define X86_VECTOR_PF 14
#define X86_VECTOR_MC 18
#define X86_VECTOR_CP 21

#define X86_EXCEPTION_VECTORS 32
#define X86_VECTORS 256

// Bit v is set when the CPU pushes an error code for exception v:
// #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP, #VC, #SX.
#define X86_ERROR_CODE_VECTORS 0x60227d00

#endif
