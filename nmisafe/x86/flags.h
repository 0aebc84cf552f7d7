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
#define X86_CR0_MP 0x00000002
#define X86_CR0_EM 0x00000004
#define X86_CR0_TS 0x00000008
#define X86_CR0_WP 0x00010000
#define X86_CR0_PG 0x80000000
#define X86_CR4_TSD 0x00000004
#define X86_CR4_PSE 0x00000010
#define X86_CR4_PAE 0x00000020
#define X86_CR4_PGE 0x00000080
#define X86_CR4_FSGSBASE 0x00010000
#define X86_CR4_SMAP 0x00200000
#define X86_CR4_CET 0x00800000

#define X86_DR7_ENABLE_ALL 0x000000ff // L0, G0 .. L3, G3
#define X86_DR7_DISARMED 0x00000400   // bit 10 reads as 1 always
#define X86_DR6_HIT_ALL 0x0000000f    // B0 .. B3
#define X86_DR6_CLEAR 0xffff0ff0      // nothing reported: the bits that are 1 then [intel/vol3 17.2.3]
#define X86_DR6_SINGLE_STEP 0x00004000

#define X86_MSR_APIC_BASE 0x0000001b
#define X86_MSR_SYSENTER_CS 0x00000174
#define X86_MSR_SYSENTER_ESP 0x00000175
#define X86_MSR_SYSENTER_EIP 0x00000176
#define X86_MSR_S_CET 0x000006a2             // shadow stacks and branch tracking of rings 0 to 2
#define X86_MSR_PL0_SSP 0x000006a4           // the token that SETSSBSY takes
#define X86_MSR_INTERRUPT_SSP_TABLE 0x000006a8 // the shadow stacks of the IST, by its numbers
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

#define X86_S_CET_SHADOW_STACKS 0x1    // SH_STK_EN
#define X86_S_CET_SHADOW_WRITES 0x2    // WR_SHSTK_EN: WRSS
#define X86_S_CET_BRANCH_TRACKING 0x4  // ENDBR_EN
#define X86_S_CET_NO_TRACK 0x10        // NO_TRACK_EN: a prefix for branches that are not tracked
#define X86_SHADOW_TOKEN_BUSY 0x1      // of a supervisor shadow stack token
#define X86_SHADOW_TOKEN_64_BIT 0x1    // of the token that RSTORSSP takes [intel/vol1 CET]

// What delivery leaves on a shadow stack, from SSP up. [intel/vol1 CET]
#define X86_SHADOW_SSP 0
#define X86_SHADOW_IP 8
#define X86_SHADOW_CS 16
#define X86_SHADOW_SIZE 24

#define X86_RPL_MASK 3 // requested privilege level, the low bits of a selector

#endif
