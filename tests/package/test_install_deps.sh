#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_install_deps.sh path/to/install-deps.sh work-folder
# Runs install-deps.sh against package managers that only write down how they were called.
set -eu
script=$1
work=$2
failures=0

# fake NAME BODY: a program in the folder that is all of PATH
fake() {
  printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}
log='echo "$(basename "$0") $*" >>"$LOG"'

# A system with nothing but the shell's tools. $INSTALLED and $UNPACKAGED are lists of packages.
new_system() {
  rm -rf "$work"
  mkdir -p "$work/bin"
  for tool in sh sed grep basename env cat; do ln -s "$(command -v $tool)" "$work/bin/$tool"; done
  fake id 'echo "${FAKE_UID:-1000}"'
  INSTALLED="" UNPACKAGED="" FAKE_UID=1000 TERMUX_VERSION=""
}
add_apt() {
  fake apt-get "$log"'; [ "$1" != "${FAILING:-}" ]'
  fake apt-cache 'case " $UNPACKAGED " in *" $2 "*) exit 100 ;; esac'
  fake dpkg-query 'for p; do :; done; case " $INSTALLED " in *" $p "*) echo "install ok installed" ;; *) exit 1 ;; esac'
}
add_sudo() { fake sudo "$log"'; exec "$@"'; }

# run EXPECTED_STATUS [arguments]: leaves the printed text in $out and the calls in $calls
run() {
  expected=$1
  shift
  : >"$work/log"
  status=0
  out=$(PATH="$work/bin" LOG="$work/log" INSTALLED="$INSTALLED" UNPACKAGED="$UNPACKAGED" FAKE_UID="$FAKE_UID" \
    TERMUX_VERSION="$TERMUX_VERSION" FAILING="${FAILING:-}" sh "$script" "$@" 2>&1) || status=$?
  calls=$(cat "$work/log")
  [ "$status" = "$expected" ] || failed "exit code $status instead of $expected"
}
failed() {
  failures=$((failures + 1))
  printf 'FAILED: %s: %s\n--- printed:\n%s\n--- called:\n%s\n' "$name" "$1" "$out" "$calls"
}
printed() { case $out in *"$1"*) ;; *) failed "did not print '$1'" ;; esac; }
called() { case $calls in *"$1"*) ;; *) failed "did not call '$1'" ;; esac; }
not_called() { case $calls in *"$1"*) failed "called '$1'" ;; esac; }

name="apt, a user with sudo, nothing there"
new_system && add_apt && add_sudo
run 0
called "sudo apt-get update"
called "apt-get install -y -q --no-install-recommends build-essential cmake ninja-build"
called "librandom123-dev libbenchmark-dev libopenmpi-dev"
called "sudo env DEBIAN_FRONTEND=noninteractive apt-get install"
printed "installing with apt: build-essential cmake"

name="apt, root: no sudo"
new_system && add_apt && add_sudo
FAKE_UID=0
run 0
called "apt-get install"
not_called "sudo"

name="apt, a user without sudo"
new_system && add_apt
run 1
printed "run as root: apt-get update"
not_called "apt-get"

name="apt, all there: one line and no call"
new_system && add_apt && add_sudo
INSTALLED="$(PATH="$work/bin" sh "$script" --list | tr '\n' ' ')"
run 0
printed "nothing to do"
[ "$(printf '%s\n' "$out" | wc -l)" -eq 1 ] || failed "more than one line"
[ -z "$calls" ] || failed "something was called"

name="apt, one package missing: only that one"
INSTALLED=$(echo "$INSTALLED" | sed 's/doctest-dev //')
run 0
called "--no-install-recommends doctest-dev"
not_called "cmake"

name="tools that came from elsewhere count"
new_system && add_apt && add_sudo
fake cmake 'echo "cmake version 3.31.2"'
fake ninja ''
fake mpicxx ''
run 0
not_called " cmake"
not_called "ninja-build"
not_called "libopenmpi-dev"

name="a cmake that is too old"
fake cmake 'echo "cmake version 3.22.1"'
run 1
printed "cmake 3.22 is older than 3.25"

name="a package that the system does not have"
new_system && add_apt && add_sudo
UNPACKAGED="librandom123-dev"
run 0
not_called "librandom123-dev"
called "libxsimd-dev"
printed "not packaged for this system: librandom123-dev"
printed "POCKETLLM_FETCH_DEPENDENCIES=ON"

name="apt fails"
new_system && add_apt && add_sudo
FAILING=install
run 1
FAILING=""

name="no package lists to be had"
new_system && add_apt && add_sudo
FAILING=update
run 0
printed "could not be refreshed"
called "apt-get install"
FAILING=""

name="Termux: pkg without sudo, although apt-get is there"
new_system && add_apt && add_sudo
fake pkg "$log"
TERMUX_VERSION=0.118
run 0
called "pkg install -y clang cmake ninja"
not_called "mpi"
not_called "sudo"
not_called "apt-get"

name="Fedora"
new_system && add_sudo
fake dnf "$log"
fake rpm 'case " $INSTALLED " in *" $2 "*) ;; *) exit 1 ;; esac'
INSTALLED="eigen3-devel"
run 0
called "sudo dnf install -y gcc-c++ cmake"
not_called "eigen3-devel"

name="Homebrew: no sudo"
new_system && add_sudo
fake brew 'case $1 in
  list) case " $INSTALLED " in *" $3 "*) ;; *) exit 1 ;; esac ;;
  install) echo "brew $*" >>"$LOG" ;;
esac'
fake c++ ''
INSTALLED="eigen"
run 0
called "brew install cmake ninja xsimd"
not_called "sudo"

name="Homebrew without Apple's compiler"
rm "$work/bin/c++"
run 1
printed "xcode-select --install"

name="no package manager"
new_system
run 1
printed "found none of apt-get, pkg, dnf and brew"

name="--list installs nothing"
new_system && add_apt && add_sudo
run 0 --list
printed "libeigen3-dev"
[ -z "$calls" ] || failed "something was called"

name="an unknown option"
run 1 --lits
printed "unknown option --lits"

if [ "$failures" != 0 ]; then
  echo "$failures failed"
  exit 1
fi
echo "all passed"
