// SPDX-License-Identifier: MIT
// What the plugin has to know of an instruction.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nmisafe::torture {

enum class kind : uint8_t {
    other,
    iret,
    returns, // RET, RET far, SYSRET, SYSEXIT
    shadows, // MOV to SS, POP SS: a CPU holds an NMI back for one instruction, QEMU does not [SDM 3A 6.8.3]
    enables, // STI: a CPU may; the manual leaves it open
    halts,
    writes_port,       // OUT DX, AL
    writes_string,     // OUTSB
    writes_named_port, // OUT imm8, AL
};

struct instruction {
    uint64_t pc;
    kind what;
    bool may_begin; // a path's first, as far as it is known when it is translated
    uint8_t size;
    uint8_t bytes[15];
};

inline bool is_print(kind what) {
    return what == kind::writes_port || what == kind::writes_string ||
           what == kind::writes_named_port;
}

inline bool is_return(kind what) {
    return what == kind::iret || what == kind::returns;
}

// Of a 32-bit or 64-bit instruction.
inline kind kind_of(const uint8_t* bytes, size_t size, bool wide) {
    size_t i = 0;
    const auto is_prefix = [wide](uint8_t byte) {
        return byte == 0x66 || byte == 0x67 || byte == 0xf2 || byte == 0xf3 ||
               (byte & 0xe7) == 0x26 || byte == 0x64 || byte == 0x65 ||
               (wide && (byte & 0xf0) == 0x40);
    };
    while (i < size && is_prefix(bytes[i])) {
        ++i;
    }
    if (i >= size) {
        return kind::other;
    }
    const uint8_t next = i + 1 < size ? bytes[i + 1] : 0;
    switch (bytes[i]) {
    case 0xcf:
        return kind::iret;
    case 0xc2:
    case 0xc3:
    case 0xca:
    case 0xcb:
        return kind::returns;
    case 0x0f:
        return next == 0x07 || next == 0x35 ? kind::returns : kind::other;
    case 0xfb:
        return kind::enables;
    case 0x17:
        return wide ? kind::other : kind::shadows;
    case 0x8e:
        return (next & 0x38) == 0x10 ? kind::shadows : kind::other;
    case 0xf4:
        return kind::halts;
    case 0x6e:
        return kind::writes_string;
    case 0xe6:
        return kind::writes_named_port;
    case 0xee:
        return kind::writes_port;
    default:
        return kind::other;
    }
}

} // namespace nmisafe::torture
