// SPDX-License-Identifier: MIT
// With -fcommon the variables are common symbols, which have no section.
long long common_number;
char common_bytes[33];

_Bool nmisafe_module_init(void) {
    for (int i = 0; i < 33; ++i)
        if (common_bytes[i] != 0)
            return 0;
    if (common_number != 0 || (unsigned long)&common_number % sizeof(long) != 0)
        return 0;
    common_number = -1;
    for (int i = 0; i < 33; ++i)
        common_bytes[i] = 1;
    return common_number == -1;
}
