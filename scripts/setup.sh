# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # it uses and sets variables of the script that sources it
# Sourced by ./run and ./test: the Debian packages they need, and the build. Expects to be in the
# repository's root, and `program` to be the name for messages.

# "package: why". g++-12-multilib brings the headers for 32 bits; gcc-multilib would too, but it
# cannot be installed beside the alpha cross compiler.
packages_for_run=(
    "g++: compiles the kernel and the tool"
    "g++-12-multilib: compiles for 32 bits"
    "cmake: configures the build"
    "ninja-build: builds"
    "qemu-system-x86: runs the kernel"
    "grub-pc-bin: boot image of the kernel"
    "grub-common: boot image of the kernel"
    "xorriso: boot image of the kernel"
    "mtools: boot image of the kernel"
    "libcli11-dev: options of the tool"
    "libfmt-dev: text output of the tool"
    "nlohmann-json3-dev: report of the tool"
    "libboost-dev: child processes of the tool"
    "libboost-filesystem-dev: child processes of the tool"
)
packages_for_test=(
    "${packages_for_run[@]}"
    "clang-14: the second compiler"
    "libclang-rt-14-dev: fuzzing, sanitizers"
    "lld: the second linker"
    "doctest-dev: unit tests"
    "libbenchmark-dev: benchmarks"
    "liblttng-ust-dev: benchmarks, to compare with"
    "libzydis-dev: oracle of the instruction decoder"
    "python3: tests of the tool and of the sources"
    "g++-alpha-linux-gnu: unit tests on alpha"
    "qemu-user: unit tests on alpha and for 32 bits"
    "bochs: the second emulator"
    "bochs-sdl: the second emulator"
    "bochsbios: the second emulator"
    "vgabios: the second emulator"
)

# refuse MESSAGE: for a wrong command line.
refuse() {
    echo "$program: $1" >&2
    exit 2
}

# give_up MESSAGE: for everything else that ends the script.
give_up() {
    echo "$program: $1" >&2
    exit 1
}

# Prints the "package: why" lines of what is not installed.
missing_packages() {
    local line
    for line in "$@"; do
        # dpkg-query fails for a package it has never heard of.
        if [[ $(dpkg-query -W -f '${db:Status-Status}' "${line%%:*}" 2>/dev/null) != installed ]]; then
            echo "$line"
        fi
    done
}

# run_apt ARGUMENT...: as root, asking nothing.
run_apt() {
    local -a as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y "$@"
}

# install_packages MAY_INSTALL "package: why"...: installs what is missing, and only that.
install_packages() {
    local may_install=$1
    shift
    command -v dpkg-query >/dev/null || give_up "this is not Debian: dpkg-query is missing"
    local -a missing names
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    names=("${missing[@]%%:*}")
    if [[ $may_install != yes ]]; then
        give_up "not installed: ${names[*]} (run without --no-install, or install them yourself)"
    fi
    if [[ $(id -u) != 0 ]] && ! command -v sudo >/dev/null; then
        give_up "neither root nor sudo, so these must be installed first: ${names[*]}"
    fi
    echo "$program: installing Debian packages (log: out/install.log)"
    printf '    %s\n' "${missing[@]}"
    mkdir -p out
    # Old package lists name versions that are gone, and a fresh system has no lists at all; both
    # show as a failed install. So the lists are fetched when the first attempt fails.
    if ! run_apt --no-install-recommends install "${names[@]}" >out/install.log 2>&1; then
        echo "$program: fetching package lists"
        if ! { run_apt update && run_apt --no-install-recommends install "${names[@]}"; } \
            >>out/install.log 2>&1; then
            tail -n 20 out/install.log >&2
            give_up "apt-get failed (log: out/install.log)"
        fi
    fi
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]} == 0)) || give_up "still not installed: ${missing[*]%%:*}"
}

# build PRESET LOG CMAKE_OPTION...: configures and builds; on failure shows the log's end and fails.
build() {
    local preset=$1 log=$2
    shift 2
    mkdir -p out
    echo "$program: building with $preset (log: $log)"
    if ! { cmake --preset "$preset" "$@" && cmake --build --preset "$preset"; } >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "$program: the build with $preset failed (log: $log)" >&2
        return 1
    fi
}
