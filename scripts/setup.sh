# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # it uses and sets variables of the script that sources it
# Sourced by ./run and ./test: the Debian packages they need, and the build. Expects to be in the
# repository's root, and `program` to be the name for messages.

# A locale that every Debian has, for all that is started here: the user's may not be installed.
export LC_ALL=C.UTF-8

# "package: why". Each exists under its name in every release; but N is the version of the release's g++,
# which apt knows, and one with a question mark is wanted where the release has it. Where there is a program called
# as what stands behind "=", the package is not wanted: Node.js often comes from elsewhere, and Debian's npm
# cannot be installed beside that. g++-N-multilib brings the headers for 32 bits; gcc-multilib would too, but
# it cannot be installed beside the alpha cross compiler.
packages_for_run=(
    "g++: compiles the kernel and the tool"
    "g++-N-multilib: compiles for 32 bits"
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
    "libprotozero-dev: Perfetto output of the tool"
    "libdw-dev: names of addresses in the tool"
    "libzydis-dev: disassembly in the tool, oracle of the instruction decoder"
)
packages_for_test=(
    "${packages_for_run[@]}"
    "clang: the second compiler"
    "libclang-rt-dev: fuzzing, sanitizers"
    "lld: the second linker"
    "clang-16?: other versions of the second compiler"
    "lld-16?: other versions of the second compiler"
    "clang-19?: other versions of the second compiler"
    "lld-19?: other versions of the second compiler"
    "clang-format-14?: the layout of the sources"
    "doctest-dev: unit tests"
    "libbenchmark-dev: benchmarks"
    "liblttng-ust-dev: benchmarks, to compare with"
    "lttng-tools: benchmarks, to compare with"
    "libllvm19: the second oracle of the instruction decoder"
    "python3: tests of the tool and of the sources"
    "make: builds the library as other people's kernels do"
    "meson: builds the library as other people's kernels do"
    "bazel-bootstrap?: builds the library as other people's kernels do"
    "bazel-rules-java?: of Bazel"
    "bazel-rules-proto?: of Bazel"
    "pkg-config: finds the installed library"
    "g++-alpha-linux-gnu: unit tests on alpha"
    "qemu-user: unit tests on alpha and for 32 bits"
    "babeltrace2: reads the traces"
    "chromium: opens the pages"
    "nodejs=node: drives the browser"
    "npm=npm: brings other people's viewers"
    "babeltrace: reads the traces, the older one"
    "protobuf-compiler: reads Perfetto's format"
    "bochs: the second emulator"
    "bochs-sdl: the second emulator"
    "bochsbios: the second emulator"
    "debootstrap: the other Debian release"
    "ovmf: guests that boot by UEFI"
    "grub-efi-amd64-bin: guests that boot by UEFI"
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

# say TEXT: on standard output, which may be a full disk.
say() {
    { echo "$1"; } 2>/dev/null || give_up "standard output cannot be written to"
}

# on_interrupt: Ctrl-C goes to all of the terminal's programs, and some report it as a failure of theirs.
# It may come while standard error is a log.
exec {messages}>&2
on_interrupt() {
    echo "$program: interrupted" >&"$messages"
    exit 130
}
trap on_interrupt INT TERM HUP

# take_tree: refuses to go on while another ./run or ./test builds here. The lock is the open file's: it
# goes when the last process of this command does, however that ends.
take_tree() {
    local reason
    reason=$(mkdir -p out 2>&1) || give_up "${reason#mkdir: }"
    begin_log out/build.lock
    exec {tree_lock}>>out/build.lock
    if ! flock --nonblock "$tree_lock"; then
        give_up "another ./run or ./test is at work in this folder (it has locked out/build.lock)"
    fi
}

# begin_log FILE: a line in an empty file, before anything long is done that would be lost: it shows a
# full disk too.
begin_log() {
    local reason
    reason=$({ echo "$program" >"$1"; } 2>&1) || give_up "$1: ${reason##*: }"
}

# Prints the "package: why" lines with N replaced, where apt knows it: from what is installed, or from its
# lists, which a fresh system does not have.
with_versions() {
    local version
    version=$(apt-cache depends g++ 2>/dev/null | sed -n 's/^ *Depends: g++-\([0-9]\+\)$/\1/p')
    local line name
    for line in "${@/#g++-N-/g++-${version:-N}-}"; do
        name=${line%%:*}
        if [[ $name != *\? ]]; then
            echo "$line"
        elif apt-cache show "${name%\?}" >/dev/null 2>&1; then
            echo "${name%\?}:${line#*:}"
        fi
    done
}

# Prints the "package: why" lines of what is not installed.
missing_packages() {
    local line name
    for line in "$@"; do
        name=${line%%:*}
        # dpkg-query fails for a package it has never heard of.
        if [[ $name == *=* ]] && command -v "${name#*=}" >/dev/null; then
            continue
        elif [[ $(dpkg-query -W -f '${db:Status-Status}' "${name%=*}" 2>/dev/null) != installed ]]; then
            echo "${name%=*}:${line#*:}"
        fi
    done
}

# run_apt ARGUMENT...: as root, asking nothing.
run_apt() {
    local -a as_root=()
    [[ $(id -u) == 0 ]] || as_root=(sudo)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y "$@"
}

apt_failed() {
    tail -n 20 out/install.log >&2
    give_up "apt-get failed (log: out/install.log)"
}

# install_packages MAY_INSTALL "package: why"...: installs what is missing, and only that.
install_packages() {
    local may_install=$1
    shift
    command -v dpkg-query >/dev/null || give_up "this is not Debian: dpkg-query is missing"
    local -a wanted missing names
    mapfile -t wanted < <(with_versions "$@")
    mapfile -t missing < <(missing_packages "${wanted[@]}")
    ((${#missing[@]})) || return 0
    names=("${missing[@]%%:*}")
    if [[ $may_install != yes ]]; then
        give_up "not installed: ${names[*]} (run without --no-install, or install them yourself)"
    fi
    if [[ $(id -u) != 0 ]] && ! command -v sudo >/dev/null; then
        give_up "neither root nor sudo, so these must be installed first: ${names[*]}"
    fi
    say "$program: installing Debian packages (log: out/install.log)"
    say "$(printf '    %s\n' "${missing[@]}")"
    begin_log out/install.log
    # Old package lists name versions that are gone, and a fresh system has no lists at all; both
    # show as a failed install. So the lists are fetched when the first attempt fails.
    if ! run_apt --no-install-recommends install "${names[@]}" >>out/install.log 2>&1; then
        say "$program: fetching package lists"
        run_apt update >>out/install.log 2>&1 || apt_failed
        mapfile -t wanted < <(with_versions "$@")
        mapfile -t missing < <(missing_packages "${wanted[@]}")
        names=("${missing[@]%%:*}")
        run_apt --no-install-recommends install "${names[@]}" >>out/install.log 2>&1 || apt_failed
    fi
    mapfile -t missing < <(missing_packages "${wanted[@]}")
    ((${#missing[@]} == 0)) || give_up "still not installed: ${missing[*]%%:*}"
}

# build PRESET LOG CMAKE_OPTION... [-- TARGET...]: configures and builds, all unless targets are named; on
# failure shows the log's end and fails.
build() {
    local preset=$1 log=$2
    shift 2
    local -a options=() targets=()
    while (($#)) && [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift || true
    (($# == 0)) || targets=(--target "$@")
    begin_log "$log"
    say "$program: building with $preset (log: $log)"
    if ! { cmake --preset "$preset" "${options[@]}" &&
        cmake --build --preset "$preset" "${targets[@]}"; } >>"$log" 2>&1; then
        tail -n 40 "$log" >&2
        # A full disk may have left neither the reason nor room for it.
        local reason
        reason=$({ echo "the build failed" >>"$log"; } 2>&1) || echo "$program: $log: ${reason##*: }" >&2
        echo "$program: the build with $preset failed (log: $log)" >&2
        return 1
    fi
}
