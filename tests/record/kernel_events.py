# SPDX-License-Identifier: MIT
"""What the example's trace has: events named, and with the fields, that readers of kernels' traces look for (Trace
Compass: base layout), and this project's own."""

import re

KERNEL_EVENTS = {
    "sched_switch": "prev_comm prev_tid prev_prio prev_state next_comm next_tid next_prio",
    "sched_wakeup": "comm tid prio target_cpu",
    "irq_handler_entry": "irq name",
    "irq_handler_exit": "irq ret",
    "sys_by_number": "number argument",
    "exit_syscall": "ret",
    "page_fault_kernel": "address ip error_code",
    "page_fault_user": "address ip error_code",
    "nmi_entry": "ip",
    "nmi_exit": "",
    "trap_entry": "vector ip",
    "trap_exit": "vector",
    "sample": "ip tid _chain_length chain",
    "example_turn": "cpu turn",
    "kprobe": "ip sp flags ax bx cx dx si di bp",
}
KPROBE_X86_64 = " r8 r9 r10 r11 r12 r13 r14 r15"


def fields_wanted(arch):
    wanted = dict(KERNEL_EVENTS)
    wanted["kprobe"] += KPROBE_X86_64 if arch == "x86_64" else ""
    return wanted


def fields_of_events(lines):
    """Of the first event of each kind in babeltrace2's lines: its fields' names."""
    first = {}
    for line in lines:
        first.setdefault(re.search(r" (\w+): \{", line).group(1), line)
    found = {}
    for name, line in first.items():
        fields = re.sub(r"\[ \[.*", "", line[line.index("depth = "):])
        found[name] = " ".join(re.findall(r"(\w+) = ", fields)[1:])
    return found
