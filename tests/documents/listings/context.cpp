// SPDX-License-Identifier: MIT
#include "nmisafe/context/count.hpp"

void handle();
void on_nmi();

void on_nmi() {
    nmisafe::context::nmi_enter();
    handle();
    nmisafe::context::nmi_exit();
}
