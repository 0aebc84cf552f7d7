// SPDX-License-Identifier: MIT
// RFLAGS, CR and DR bits and MSR numbers, for C++ and assembly alike. [intel/vol3 2.3, 17.2, 2.5]
#ifndef NMISAFE_X86_FLAGS_H
#define NMISAFE_X86_FLAGS_H

#define X86_FLAGS_CF 0x00000001
#define X86_FLAGS_FIXED 0x00000002 // reads as 1 always
#define X86_FLAGS_PF 0x00000004
#define X86_FLAGS_AF 0x00000010
#define X86_FLAGS_ZF 0x00000040
#define X86_FLAGS_SF 0x00000080
#define X86_FLAGS_TF 0x00000100
#define X86_FLAGS_IF 0x00000200
#define X86_FLAGS_DF 0x00000400
#define X86_FLAGS_OF 0x00000800
#define X86_FLAGS_IOPL 0x00003000
#define X86_FLAGS_NT 0x00004000
#define X86_FLAGS_RF 0x00010000
#define X86_FLAGS_VM 0x00020000
#define X86_FLAGS_AC 0x00040000
#define X86_FLAGS_VIF 0x00080000
#define X86_FLAGS_VIP 0x00100000
#define X86_FLAGS_ID 0x00200000
#define X86_FLAGS_KNOWN 0x003fffff // every bit above these is reserved and reads as 0

#define X86_CR0_PE 0x00000001
#define X86_CR0_WP 0x00010000
#define X86_CR0_PG 0x80000000
#define X86_CR4_PSE 0x00000010
#define X86_CR4_PAE 0x00000020
#define X86_CR4_PGE 0x00000080
#define X86_CR4_FSGSBASE 0x00010000
#define X86_CR4_SMAP 0x00200000

#define X86_DR7_ENABLE_ALL 0x000000ff // L0, G0 .. L3, G3
#define X86_DR7_DISARMED 0x00000400   // bit 10 reads as 1 always
#define X86_DR6_HIT_ALL 0x0000000f    // B0 .. B3
#define X86_DR6_CLEAR 0xffff0ff0      // nothing reported: the bits that are 1 then [intel/vol3 17.2.3]
#define X86_DR6_SINGLE_STEP 0x00004000

#define X86_MSR_APIC_BASE 0x0000001b
#define X86_MSR_EFER 0xc0000080
#define X86_MSR_STAR 0xc0000081
#define X86_MSR_LSTAR 0xc0000082
#define X86_MSR_CSTAR 0xc0000083
#define X86_MSR_SYSCALL_MASK 0xc0000084
#define X86_MSR_FS_BASE 0xc0000100
#define X86_MSR_GS_BASE 0xc0000101
#define X86_MSR_KERNEL_GS_BASE 0xc0000102
#define X86_EFER_SCE 0x00000001
#define X86_EFER_LME 0x00000100
#define X86_EFER_NXE 0x00000800

#define X86_RPL_MASK 3 // requested privilege level, the low bits of a selector

#endif
