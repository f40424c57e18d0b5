#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is needed to build and test pocketllm, with the system's package manager: apt (Debian, Ubuntu),
# Termux's pkg, dnf (Fedora) or Homebrew. Does nothing when all is there.
set -eu

usage="usage: cmake/install-deps.sh [--list]
Installs what is needed to build and test pocketllm; --list only prints the packages."

# Each line: a package, and a command that shows that it is there already, however it was installed. MPI is for the
# tests of several processes, and only where its compilers are on the path once it is installed; a phone trains alone.
apt_packages="
build-essential g++
cmake cmake
ninja-build ninja
python3 python3
clang clang++
libclang-rt-dev
libeigen3-dev
libxsimd-dev
nlohmann-json3-dev
libcli11-dev
doctest-dev
librandom123-dev
libbenchmark-dev
libopenmpi-dev mpicxx
g++-aarch64-linux-gnu aarch64-linux-gnu-g++
qemu-user qemu-aarch64"

pkg_packages="
clang clang++
cmake cmake
ninja ninja
git git
python python3
eigen
xsimd
nlohmann-json
cli11
doctest
google-benchmark"

dnf_packages="
gcc-c++ g++
cmake cmake
ninja-build ninja
python3 python3
clang clang++
compiler-rt
libasan
libubsan
eigen3-devel
xsimd-devel
json-devel
cli11-devel
doctest-devel
Random123-devel
google-benchmark-devel"

brew_packages="
cmake cmake
ninja ninja
eigen
xsimd
nlohmann-json
cli11
doctest
google-benchmark
open-mpi mpicxx"

say() { echo "install-deps: $*"; }
die() {
  say "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "this needs root and there is no sudo; run as root: $*"
  fi
}

# The first of these that is there; Termux before apt, which it has as well.
find_manager() {
  if [ -n "${TERMUX_VERSION:-}" ] && have pkg; then
    echo pkg
  elif have apt-get; then
    echo apt
  elif have dnf; then
    echo dnf
  elif have brew; then
    echo brew
  fi
}

installed() { # package
  case $manager in
  apt | pkg) dpkg-query -W -f='${Status}\n' "$1" 2>/dev/null | grep -q ' ok installed' ;;
  dnf) rpm -q "$1" >/dev/null 2>&1 ;;
  brew) brew list --versions "$1" >/dev/null 2>&1 ;;
  esac
}

available() { # package
  case $manager in
  apt | pkg) apt-cache show "$1" >/dev/null 2>&1 ;;
  dnf) dnf -q info "$1" >/dev/null 2>&1 ;;
  brew) brew info --formula "$1" >/dev/null 2>&1 ;;
  esac
}

refresh() { # a fresh machine has no package lists, and an old one has names that are gone
  case $manager in
  apt) as_root apt-get update -q ;;
  pkg) pkg update -y ;;
  esac
}

install() { # packages
  case $manager in
  apt) as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" ;;
  pkg) pkg install -y "$@" ;;
  dnf) as_root dnf install -y "$@" ;;
  brew) brew install "$@" ;;
  esac
}

# Distributions from before 2023 have an older CMake, and no package of theirs helps.
check_cmake() {
  have cmake || return 0
  version=$(cmake --version | sed -n 's/^cmake version \([0-9]*\.[0-9]*\).*/\1/p')
  major=${version%%.*}
  minor=${version#*.}
  if [ "${major:-0}" -lt 3 ] || { [ "$major" = 3 ] && [ "$minor" -lt 25 ]; }; then
    die "cmake $version is older than 3.25; install a newer one, for instance with: pip install cmake"
  fi
}

case "${1:-}" in
"" | --list) ;;
-h | --help)
  echo "$usage"
  exit 0
  ;;
*) die "unknown option $1
$usage" ;;
esac

manager=$(find_manager)
case $manager in
apt) packages=$apt_packages ;;
pkg) packages=$pkg_packages ;;
dnf) packages=$dnf_packages ;;
brew) packages=$brew_packages ;;
*) die "found none of apt-get, pkg, dnf and brew; install by hand a C++20 compiler, CMake 3.25, Ninja, Eigen 3.4,
xsimd 8, nlohmann-json 3.10, CLI11 and, for the tests, doctest and Random123. With POCKETLLM_FETCH_DEPENDENCIES=ON
in the environment the presets download the libraries among them." ;;
esac

if [ "${1:-}" = --list ]; then
  echo "$packages" | sed -n 's/^\([^ ][^ ]*\).*/\1/p'
  exit 0
fi

missing=$(echo "$packages" | while read -r package command; do
  [ -n "$package" ] || continue
  if [ -n "$command" ] && have "$command"; then continue; fi
  installed "$package" || echo "$package"
done)

if [ "$manager" = brew ] && ! have c++; then
  die "there is no C++ compiler; install Apple's with: xcode-select --install"
fi
if [ -z "$missing" ]; then
  check_cmake
  say "nothing to do, all packages are there ($manager)"
  exit 0
fi

# shellcheck disable=SC2086 # one line
say "missing:" $missing
refresh || say "the package lists could not be refreshed; going on with those that are there" >&2
wanted=""
unknown=""
for package in $missing; do
  if available "$package"; then wanted="$wanted $package"; else unknown="$unknown $package"; fi
done
if [ -n "$wanted" ]; then
  say "installing with $manager:$wanted"
  # shellcheck disable=SC2086 # one word per package
  install $wanted
fi
if [ -n "$unknown" ]; then
  say "not packaged for this system:$unknown"
  say "to download the libraries among them, set POCKETLLM_FETCH_DEPENDENCIES=ON in the environment and go on"
fi
check_cmake
