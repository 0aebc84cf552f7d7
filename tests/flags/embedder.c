/* SPDX-License-Identifier: MIT */
/* What a kernel in C adds to the trap text: embedder.cpp's twin. With PLANTED one function of the trap text is an
 * ordinary one that calls out; with BARE the macro is the section alone: the check must find either. */
#include "nmisafe/c/nmisafe.h"

#ifdef BARE
#undef NMISAFE_C_TRAP_TEXT
#define NMISAFE_C_TRAP_TEXT __attribute__((section("nmisafe_trap_text")))
#endif

bool embedder_c_on_breakpoint(nmisafe_frame* frame);
bool embedder_c_on_page_fault(nmisafe_frame* frame, uintptr_t address);
int foreign_of_c(int value);

#ifdef PLANTED
#define PLANT(value) foreign_of_c(value)
#else
#define PLANT(value) (value)
#endif

NMISAFE_C_TRAP_TEXT bool embedder_c_on_breakpoint(nmisafe_frame* frame) {
    return nmisafe_text_patch_handle_breakpoint(frame) || nmisafe_kprobe_handle_breakpoint(frame);
}

/* Much that instrumentation and the stack protector look for: see embedder.cpp. */
NMISAFE_C_TRAP_TEXT bool embedder_c_on_page_fault(nmisafe_frame* frame, uintptr_t address) {
    typedef bool (*handler)(nmisafe_frame*);
    static handler handlers[4];
    char bytes[24];
    __asm__ volatile("" : : "r"(bytes) : "memory");
    for (unsigned i = 0; i < sizeof bytes; ++i)
        bytes[i] = (char)(address >> i);
    __asm__ volatile("" : : "r"(bytes) : "memory");
    switch (PLANT((int)bytes[address & 7])) {
    case 0:
        return true;
    case 1:
        frame->ip += sizeof bytes;
        return frame->ip > address;
    default:
        __asm__ volatile("" : : "r"(handlers) : "memory");
#ifdef __clang__ /* -mretpoline: nmisafe/c/types.h */
        return handlers[address & 3] != NULL;
#else
        return handlers[address & 3](frame);
#endif
    }
}
