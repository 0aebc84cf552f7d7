// SPDX-License-Identifier: MIT
// What the entries from ring 3 must know of this kernel.
#define NMISAFE_USER_CPU 16             // where per_cpu has its cpu_words
#define NMISAFE_USER_DATA_SELECTOR 0x23 // SYSRET wants this order
#define NMISAFE_USER_CODE_SELECTOR 0x2b
