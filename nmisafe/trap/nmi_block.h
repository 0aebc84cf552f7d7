// SPDX-License-Identifier: MIT
// x86-64: the block at the top of an NMI's IST stack, for assembly (the offsets) and C++ (the
// struct); the assertions hold them together. The IST entry of the NMI points at the block, P, when
// no NMI is in progress.
//
//   P + 0xb4  tss            the CPU's TSS: its descriptor in the GDT points here
//   P + 0x40  return_frame   what the NMI's last IRET pops
//   P         scratch        what an #MC that lands on that IRET may write below RSP; IST entry -> here
//   P - 0xb0  struct trap_frame of the NMI in progress
//   P - S     head of level 1: where the IST entry points while an NMI is in progress. Below it the frame of
//             a nested NMI; from it up words at the block's own offsets: a level that is not 0, and what the
//             entry's first instruction changes in place of the TSS. Both lie below the frame above.
//   P - 2S    head of level 2, for an NMI nested in the nested one's entry
//   P - 3S    head of level 3: an NMI here stops the machine
//   P - NMI_NESTED_SIZE      the stack of the C++ side begins
#ifndef NMISAFE_TRAP_NMI_BLOCK_H
#define NMISAFE_TRAP_NMI_BLOCK_H

/// Which IST entry is the NMI's, 1 to 7: one for all CPUs, an immediate of the entry's first
/// instruction.
#ifndef NMISAFE_TRAP_NMI_IST
#define NMISAFE_TRAP_NMI_IST 1
#endif

#define NMI_BLOCK_RETURN_FRAME 0x40
#define NMI_BLOCK_LEVEL 0x68
#define NMI_BLOCK_PENDING 0x6c
#define NMI_BLOCK_GS_BASE 0x70
#define NMI_BLOCK_FOREIGN_GS 0x78
#define NMI_BLOCK_HAS_FOREIGN_GS 0x80
#define NMI_BLOCK_OTHER_REDO_SP 0x88
#define NMI_BLOCK_OTHER_BEGIN 0x90
#define NMI_BLOCK_OTHER_END 0x98
#define NMI_BLOCK_OTHER_REDO 0xa0
#define NMI_BLOCK_FOUND_TABLES 0xa8
#define NMI_BLOCK_HAS_FSGSBASE 0xb0
#define NMI_BLOCK_TSS 0xb4
#define NMI_BLOCK_IST (NMI_BLOCK_TSS + 0x24 + 8 * (NMISAFE_TRAP_NMI_IST - 1))

#ifdef NMISAFE_SHADOW_STACK
// The shadow stacks of the NMI's levels, and the table that the CPU takes them from: shadow_words.
#define NMI_BLOCK_INTERRUPTED_SSP 0x120
#define NMI_BLOCK_SHADOW_STACK 0x128
#define NMI_BLOCK_SSP_TABLE 0x130
#define NMI_BLOCK_SSP (NMI_BLOCK_SSP_TABLE + 8 * NMISAFE_TRAP_NMI_IST)
#define NMI_SHADOW_STRIDE 0x100
#define NMI_STRIDE 0x220
#else
#define NMI_STRIDE 0x1c0                    // S: from one level to the next
#endif
#ifdef NMISAFE_SHADOW_STACK
#define NMI_BLOCK_KERNEL_TABLES 0x170       // with NMISAFE_PAGE_TABLE_ISOLATION
#else
#define NMI_BLOCK_KERNEL_TABLES 0x120
#endif
#define NMI_NESTED_SIZE (3 * NMI_STRIDE + 64) // three levels, and the last one's frame

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"

#ifdef __x86_64__

#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::trap {

/// Which IST entry the gate of the NMI names.
inline constexpr uint8_t nmi_ist = NMISAFE_TRAP_NMI_IST;
static_assert(nmi_ist >= 1 && nmi_ist <= 7);

/// An exit from NMIs that is not this module's, as of one from user mode: an NMI that lands between
/// begin and end goes to redo, with RSP = nmi_block::other_redo_sp, RDX = the block, IST lowered;
/// other registers are anything. All 0 if there is none.
struct other_nmi_exit {
    uintptr_t begin; ///< The first instruction after the test of `pending`.
    uintptr_t end;   ///< The instruction that raises the IST entry.
    uintptr_t redo;
};

/// What an NMI needs before it can trust anything else. Lies on memory that is always mapped, in
/// one page, above smallest_nmi_stack bytes of stack; an I/O permission bitmap may follow it.
struct [[gnu::packed]] alignas(16) nmi_block {
    uint64_t scratch[8];
    uint64_t return_frame[5];
    uint32_t level;   ///< 0; not 0 in the heads of the levels below.
    uint32_t pending; ///< An NMI came while another was in progress: its handler is to run again.
    uint64_t gs_base; ///< This CPU's, whatever GS base was interrupted.
    uint64_t foreign_gs;     ///< What the NMI in progress found instead,
    uint64_t has_foreign_gs; ///< if it did.
    uint64_t other_redo_sp;  ///< Of the NMI in progress, if it has another exit than this module's.
    other_nmi_exit other_exit;
    uint64_t found_tables; ///< CR3 when the NMI in progress came: with isolated page tables.
    /// 1: CR4.FSGSBASE is set on this CPU, so an NMI reads GS base by RDGSBASE. Looked at with NMISAFE_FSGSBASE only:
    /// without that option an NMI pays no instruction for it, and spends an RDMSR.
    uint32_t has_fsgsbase;
    x86::tss_64 tss;
#if defined NMISAFE_SHADOW_STACK || defined NMISAFE_PAGE_TABLE_ISOLATION
    uint32_t more_padding;
#endif
#ifdef NMISAFE_SHADOW_STACK
    uint64_t interrupted_ssp; ///< Of the code that the NMI in progress interrupted.
    uint64_t shadow_stack;    ///< The token of level 0's shadow stack; 0 if there is none.
    uint64_t ssp_table[8];    ///< IA32_INTERRUPT_SSP_TABLE_ADDR points here; the NMI's word is the library's.
#endif
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    /// What the NMI's handler runs with, whatever CR3 is when it comes: page tables with all of the kernel. The
    /// embedder's, not 0 once NMIs can come.
    uint64_t kernel_tables;
#endif
};

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
static_assert(offsetof(nmi_block, kernel_tables) == NMI_BLOCK_KERNEL_TABLES);
#endif

#ifdef NMISAFE_SHADOW_STACK
static_assert(offsetof(nmi_block, interrupted_ssp) == NMI_BLOCK_INTERRUPTED_SSP);
static_assert(offsetof(nmi_block, shadow_stack) == NMI_BLOCK_SHADOW_STACK);
static_assert(offsetof(nmi_block, ssp_table) == NMI_BLOCK_SSP_TABLE);
static_assert(NMI_STRIDE - (NMI_BLOCK_SSP + 8) >= sizeof(x86::trap_frame) + 48);

/// Where the token of a level's shadow stack lies, 0 to 3, from that of level 0. That one is for the C++
/// side, the others hold less than a stride of words each.
inline constexpr uintptr_t nmi_shadow_stride = NMI_SHADOW_STRIDE;

/// Whether an event from user mode finds a token there: it and three words below it lie within 32 bytes, naturally
/// aligned. [intel/vol2 INT n]
constexpr bool is_place_of_token(uintptr_t address) {
    return address % 32 == 24;
}

/// Gives an NMI its shadow stacks, by the token of level 0's, which is not busy, as the three above it are not.
/// Panics if that is no place of a token. @context as set_up_nmi_block(), after it
void set_up_nmi_shadow_stacks(nmi_block& block, uintptr_t token);
#endif

static_assert(offsetof(nmi_block, return_frame) == NMI_BLOCK_RETURN_FRAME);
static_assert(offsetof(nmi_block, level) == NMI_BLOCK_LEVEL);
static_assert(offsetof(nmi_block, pending) == NMI_BLOCK_PENDING);
static_assert(offsetof(nmi_block, gs_base) == NMI_BLOCK_GS_BASE);
static_assert(offsetof(nmi_block, foreign_gs) == NMI_BLOCK_FOREIGN_GS);
static_assert(offsetof(nmi_block, has_foreign_gs) == NMI_BLOCK_HAS_FOREIGN_GS);
static_assert(offsetof(nmi_block, other_redo_sp) == NMI_BLOCK_OTHER_REDO_SP);
static_assert(offsetof(nmi_block, other_exit) == NMI_BLOCK_OTHER_BEGIN);
static_assert(offsetof(nmi_block, other_exit.end) == NMI_BLOCK_OTHER_END);
static_assert(offsetof(nmi_block, other_exit.redo) == NMI_BLOCK_OTHER_REDO);
static_assert(offsetof(nmi_block, found_tables) == NMI_BLOCK_FOUND_TABLES);
static_assert(offsetof(nmi_block, has_fsgsbase) == NMI_BLOCK_HAS_FSGSBASE);
static_assert(offsetof(nmi_block, tss) == NMI_BLOCK_TSS); // not aligned: its IST entries are
static_assert(offsetof(nmi_block, tss) + offsetof(x86::tss_64, ist) + 8 * (nmi_ist - 1) ==
                  NMI_BLOCK_IST &&
              NMI_BLOCK_IST % 8 == 0);

// A level's head must not reach into the frame of the level above it, nor into the 64 bytes below
// that frame that an #MC's return may write. The word that the first instruction changes may.
static_assert(NMI_STRIDE % 16 == 0 && NMI_STRIDE - (NMI_BLOCK_IST + 8) >= sizeof(x86::trap_frame));
static_assert(NMI_STRIDE - (NMI_BLOCK_PENDING + 4) >= sizeof(x86::trap_frame) + 64);

/// What the library itself needs of the NMI's stack below the block, in bytes.
inline constexpr uint32_t smallest_nmi_stack = 2048 + sizeof(x86::trap_frame) + NMI_NESTED_SIZE;

/// Initialises the block of a CPU and the words below it: the NMI's IST entry points at it, the TSS
/// has no I/O bitmap; all else of the TSS is kept. The embedder then makes the TSS descriptor point
/// at block.tss, and the NMI's gate name nmi_ist. Also for a CPU that is started again.
/// @context that CPU has no NMI in progress that will go on: boot, or before it runs. Panics if the
/// block is not aligned or does not lie in one page.
void set_up_nmi_block(nmi_block& block, uintptr_t gs_base);

/// Forgets the NMI in progress, and one that is pending: for who leaves an NMI's handler for good,
/// other than by its return. Without it each later NMI of the CPU would only be remembered. NMIs
/// stay blocked as they are: an IRET unblocks them, which must be on another stack than the NMI's.
///
/// What else the NMI has changed is the caller's to put back as it was at the place that it goes to, because only
/// it knows which other events in progress it leaves along with this one: the preempt count and cpu_state's
/// nmi_in_progress, nmi_like_in_progress and in_probe_handler; then DR7, by set_debug_control(); CR2 and, where it
/// was not the kernel's, the GS base. On a shadow stack also the token of level 0, which is busy until the caller has
/// left that stack and written it anew (WRSS), before its IRET.
/// @context nmi
void abandon_nmi(nmi_block& block);

} // namespace nmisafe::trap

#else

namespace nmisafe::trap {

/// As on x86-64, where it says more; here the latch lies in cpu_state. @context nmi
void abandon_nmi();

} // namespace nmisafe::trap

#endif

namespace nmisafe::trap {

/// What the library itself needs of any other trap stack, in bytes: a frame, the dispatch at -O0,
/// and a trap nested in the handler. The handlers' own need comes on top.
inline constexpr uint32_t smallest_stack = 2048;

} // namespace nmisafe::trap

#endif // __ASSEMBLER__
#endif
