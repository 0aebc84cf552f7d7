// SPDX-License-Identifier: MIT
// What the task of trace-example shares with the kernel, for assembly and C++.
#ifndef KERNEL_EXPERIMENTS_TRACING_EXAMPLE_TASK_H
#define KERNEL_EXPERIMENTS_TRACING_EXAMPLE_TASK_H

// Its memory. The code is a copy of what is between example_task_begin and example_task_end.
#define EXAMPLE_TASK_CODE 0x400000
#define EXAMPLE_TASK_STACK 0x401000 // one page
#define EXAMPLE_TASK_LAZY 0x402000  // not mapped until it faults

// Its system calls: (E)AX.
#define EXAMPLE_TASK_WORK 2   // some work in the kernel; ends the task when all is over
#define EXAMPLE_TASK_FORGET 3 // unmaps the lazy page

#define EXAMPLE_TASK_TURNS 100000 // of its innermost loop

#ifndef __ASSEMBLER__

extern "C" const char example_task_begin[], example_task_end[];

#endif
#endif
