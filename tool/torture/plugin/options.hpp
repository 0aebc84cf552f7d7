// SPDX-License-Identifier: MIT
// What the command asks of the plugin: -plugin nmisafe_torture.so,NAME=VALUE,...
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace nmisafe::torture {

enum class place : uint8_t {
    gate,     // vector's gate in the IDT
    syscall,  // where MSR_LSTAR leads
    sysenter, // where MSR_IA32_SYSENTER_EIP leads
    timer,    // the gate of the local APIC's timer
    address,
    nmi, // none: an NMI is raised, and its handler is the path
};

enum class path_end : uint8_t {
    by_itself, // back on the stack it came from, or in user mode if it came from there
    user,      // the first instruction in user mode
    address,
};

enum class event : uint8_t { nmi, interrupt, machine_check };

struct options {
    int descriptor = -1; // of the pipe for results
    place begin = place::gate;
    unsigned vector = 3;
    uint64_t begin_address =
        0; // of place::nmi: where it is raised; 0: anywhere behind the last one's end
    bool in_user_mode = false; // of place::nmi: nowhere else
    path_end end = path_end::by_itself;
    uint64_t end_address = 0;
    uint64_t nth = 2;  // the path is taken so many times before anything is done
    std::string after; // and not before the guest has printed this
    event raised = event::nmi;
    unsigned raised_vector = 0;
    bool by_fork = false;
    bool second_latched = false; // nmi-in-nmi: one more at the handler's first instruction
    bool pairs = false;
    uint64_t limit = 300000;               // instructions a pass may take
    uint64_t milliseconds = 10000;         // and time
    uint64_t first = 0, last = UINT64_MAX; // steps to sweep
    unsigned jobs = 1;
    unsigned processor = 0;
    bool take_turns = false;                         // there are other CPUs
    bool details = false;                            // registers and stacks of every boundary
    std::vector<std::pair<uint64_t, uint64_t>> only; // PC and how often it came before, in a fork
};

// What is wrong, or empty.
std::string read_options(int count, char** arguments, options& to);

} // namespace nmisafe::torture
