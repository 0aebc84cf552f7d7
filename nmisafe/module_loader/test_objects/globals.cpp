// SPDX-License-Identifier: MIT
// What sanitizers and coverage call constructors for, and nothing that they would look at.
int globals_number = 3;
extern const char globals_text[];
const char globals_text[] = "globals";
extern "C" bool nmisafe_module_init() {
    return globals_number == 3;
}
