# SPDX-License-Identifier: MIT
"""The programs that ./run and ./test call, as shell scripts that only note it."""

# Every stand-in writes its name and arguments to $CALLS. `packages` holds what is installed.
STAND_INS = {
    "dpkg-query": """
package=${@: -1}
grep -qx -- "$package" "$STATE/packages" || { echo "no packages found" >&2; exit 1; }
echo -n installed""",
    "apt-cache": """
[[ $1 == show ]] && { ! grep -qx -- "$2" "$STATE/absent" 2>/dev/null; exit; }
[[ $* == "depends g++" && -s $STATE/version ]] || exit 0
printf '%s\n' g++ '  Depends: cpp' "  Depends: g++-$(cat "$STATE/version")" \
    "  Depends: gcc-$(cat "$STATE/version")" '  Suggests: g++-multilib'""",
    "apt-get": """
echo "apt-get $* [frontend ${DEBIAN_FRONTEND-}]" >>"$CALLS"
[[ " $* " == *" update "* ]] && { touch "$STATE/updated"; [[ -s $STATE/version ]] || echo 14 >"$STATE/version"; exit 0; }
[[ -e $STATE/needs-update && ! -e $STATE/updated ]] && { echo "cannot locate"; exit 100; }
[[ -e $STATE/broken ]] && { echo "apt is broken"; exit 100; }
[[ -e $STATE/liar ]] && exit 0
for word; do [[ $word == -* || $word == install ]] || echo "$word" >>"$STATE/packages"; done""",
    "id": """[[ -e $STATE/user ]] && echo 1000 || echo 0""",
    "sudo": """echo "sudo $*" >>"$CALLS"; exec "$@" """,
    "cmake": """
echo "cmake $*" >>"$CALLS"
echo "some line of the build, locale $LC_ALL"
# As ninja does: told to stop, it says that the build has failed.
[[ -e $STATE/waits ]] && { trap 'exit 2' INT; touch "$STATE/waiting"; sleep 60; }
[[ " $* " == *" --build "* && -e $STATE/build-fails ]] && { echo "error: no such thing"; exit 1; }
exit 0""",
    "ctest": """
echo "ctest $*" >>"$CALLS"
[[ -e $STATE/junit ]] && cp "$STATE/junit" "$(sed 's/.*--output-junit \\([^ ]*\\).*/\\1/' <<<"$*")"
[[ -e $STATE/tests-fail-$2 ]] && exit 8
exit 0""",
}
