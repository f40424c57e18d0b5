#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_newer.sh WHAT CMAKE SOURCE_DIR MODEL_DIR WORK_DIR [CMAKE_OPTION...]
# Builds and runs the consumer and the tests of the layers with newer headers than the system's, from Debian's packages in
# place of installed ones. WHAT is xsimd_13 (Debian 13) or eigen_5_xsimd_14 (its unstable branch). They serve every
# processor, whatever their name says. What is downloaded stays in WORK_DIR. Exit status 77: it cannot be tried here.
set -eu
what=$1 cmake=$2 source=$3 model=$4 work=$5
shift 5

# To take up a newer version, name its file here with its SHA-256 from Debian's Packages.xz.
case $what in
xsimd_13)
  expected='^xsimd 13\.'
  packages='x/xsimd/libxsimd-dev_13.2.0-1_amd64.deb 60878acfc02bfca76e8c31d53a1b9fdff490c319e53f620f4327c9786eaf631f
    x/xtl/xtl-dev_0.7.7-1_all.deb 1ac50215055cd36e6dc5efbd1c1873db936cdfa1670e3ea584d2fac8b106c805'
  ;;
eigen_5_xsimd_14)
  expected='^xsimd 14\..*, Eigen 5\.'
  packages='e/eigen3/libeigen3-dev_5.0.1-3_all.deb 5c90ff45c13c89b097367c92f013a40e05704f74afdf4fe3b54b6fc14564dfa3
    x/xsimd/libxsimd-dev_14.3.0-1_amd64.deb db8e1d6e030df0c8be04be1b5e0b7b23d5cc056a57180d074bb4716f787cdf79
    x/xtl/xtl-dev_0.8.2-1~0.1_all.deb d9edfef7ef973b041f64067d45bffca992438430f27f0a23867d138006d73e17'
  ;;
*)
  echo "test_newer.sh: $what is not known here" >&2
  exit 2
  ;;
esac

skip() {
  echo "skipped: $*"
  exit 77
}

# download URL FILE
download() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --connect-timeout 20 --max-time 120 --output "$2" "$1"
  elif command -v wget >/dev/null; then
    wget --quiet --timeout=20 --tries=1 --output-document="$2" "$1"
  else
    skip "there is neither curl nor wget to download $1 with"
  fi
}

command -v dpkg-deb >/dev/null || skip "there is no dpkg-deb to unpack packages of Debian with"
mkdir -p "$work"
rm -rf "${work:?}/usr"
# shellcheck disable=SC2086 # a file and its checksum are words
set -- $packages -- "$@"
while [ "$1" != -- ]; do
  file=$work/${1##*/}
  if [ ! -s "$file" ]; then
    url=http://deb.debian.org/debian/pool/main/$1
    download "$url" "$file.part" ||
      skip "$url cannot be downloaded: without a network, or as Debian has a newer one, to be named in test_newer.sh"
    mv "$file.part" "$file"
  fi
  found=$("$cmake" -E sha256sum "$file")
  if [ "${found%% *}" != "$2" ]; then
    rm "$file" # so that the next run downloads it anew
    echo "$file has the SHA-256 ${found%% *} instead of $2" >&2
    exit 1
  fi
  dpkg-deb -x "$file" "$work"
  shift 2
done
shift

"$cmake" -S "$source/tests/package/consumer" -B "$work/build" "-DPOCKETLLM_SOURCE_DIR=$source" "-DCMAKE_PREFIX_PATH=$work/usr" "$@"
"$cmake" --build "$work/build" --target consumer dispatched
"$work/build/consumer" "$model" | tee "$work/out.txt"
grep -q "$expected" "$work/out.txt" || {
  echo "the headers used are not those of $what" >&2
  exit 1
}
grep -q 'loss 0\.26155[0-9]* and 0\.27443' "$work/out.txt"

# What a loss does not show, such as scores that are not numbers.
"$cmake" -S "$source" -B "$work/tests" -DCMAKE_BUILD_TYPE=Release -DPOCKETLLM_BUILD_EXAMPLES=OFF \
  -DPOCKETLLM_BUILD_BENCHMARKS=OFF "-DCMAKE_PREFIX_PATH=$work/usr" "$@"
"$cmake" --build "$work/tests" --target test_simd test_layers
"$work/tests/tests/test_simd"
"$work/tests/tests/test_layers"
