// SPDX-License-Identifier: MIT
extern thread_local int thread_local_number;
int use_thread_local() {
    return ++thread_local_number;
}
