#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_deb.sh CMAKE CPACK BUILD_DIR VERSION CONSUMER_DIR MODEL_DIR WORK_DIR [CMAKE_OPTION...]
# Packs BUILD_DIR into a .deb, looks at it, unpacks it, and builds and runs the consumer with what it has. Exit status
# 77: it cannot be tried here.
set -eu
cmake=$1 cpack=$2 build=$3 version=$4 consumer=$5 model=$6 work=$7
shift 7
if ! command -v dpkg-deb >/dev/null; then
  echo "skipped: there is no dpkg-deb to look at packages of Debian with"
  exit 77
fi
rm -rf "$work/packed" "$work/root"
mkdir -p "$work/packed"
umask 022 # the folders' permissions are the package's
"$cpack" --config "$build/CPackConfig.cmake" -G DEB -B "$work/packed"
deb=$work/packed/libpocketllm-dev_${version}_all.deb
dpkg-deb --info "$deb"

bad=0
# expect FIELD REGEX
expect() {
  if ! dpkg-deb --field "$deb" "$1" | grep -Eq -e "$2"; then
    echo "$1 is '$(dpkg-deb --field "$deb" "$1")', which does not match $2" >&2
    bad=1
  fi
}
expect Package '^libpocketllm-dev$'
expect Version "^$version\$"
expect Architecture '^all$'
expect Section '^libdevel$'
expect Priority '^optional$'
expect Maintainer .
for needed in 'libeigen3-dev \(>= 3\.4\)' 'libxsimd-dev \(>= 8\.0\)' 'nlohmann-json3-dev \(>= 3\.10\)'; do
  expect Depends "(^|, )$needed(,|\$)"
done
expect Suggests libopenmpi-dev
expect Description '^[^ ].{20,79}$' # in one line of a terminal, with more
expect Description '^ [A-Z]'        # in the lines that follow

dpkg-deb -x "$deb" "$work/root"
for file in include/pocketllm/pocketllm.hpp share/doc/libpocketllm-dev/copyright share/pkgconfig/pocketllm.pc; do
  if [ ! -s "$work/root/usr/$file" ]; then
    echo "/usr/$file is not in the package" >&2
    bad=1
  fi
done
# of one architecture, or where a package has no business
odd=$(cd "$work/root" && find . -type f ! -path './usr/include/pocketllm/*' ! -path './usr/share/*')
if [ -n "$odd" ]; then
  echo "in the package, but in no folder that all architectures share: $odd" >&2
  bad=1
fi
[ "$bad" -eq 0 ] || exit 1

"$cmake" -S "$consumer" -B "$work/build" "-Dpocketllm_ROOT=$work/root/usr" "$@"
grep "^pocketllm_DIR:PATH=$work/root/usr/share/cmake/pocketllm\$" "$work/build/CMakeCache.txt"
"$cmake" --build "$work/build" --target consumer dispatched
"$work/build/consumer" "$model" | grep 'loss 0\.26155[0-9]* and 0\.27443'
