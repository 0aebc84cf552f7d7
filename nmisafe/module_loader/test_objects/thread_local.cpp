// SPDX-License-Identifier: MIT
thread_local int thread_local_number = 3;
int use_thread_local() {
    return ++thread_local_number;
}
