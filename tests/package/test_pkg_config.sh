#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_pkg_config.sh PKG_CONFIG COMPILER PREFIX VERSION CONSUMER_DIR MODEL_DIR WORK_DIR
# Compiles the consumer with what pkg-config says of the package installed in PREFIX, and runs it.
set -eu
pkg_config=$1 compiler=$2 prefix=$3 version=$4 consumer=$5 model=$6 work=$7
mkdir -p "$work"
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name pocketllm.pc)")
export PKG_CONFIG_PATH
if ! "$pkg_config" --exists eigen3 xsimd nlohmann_json; then
  echo "the libraries that pocketllm uses have no .pc files here"
  exit 77
fi
[ "$("$pkg_config" --modversion pocketllm)" = "$version" ]
if "$pkg_config" --exists 'pocketllm >= 99'; then
  echo "version 99 is not refused"
  exit 1
fi
# shellcheck disable=SC2046 # flags are words
"$compiler" -std=c++20 "$consumer/main.cpp" "$consumer/second.cpp" $("$pkg_config" --cflags --libs pocketllm) -o "$work/consumer"
"$work/consumer" "$model" | grep 'loss 0\.26155[0-9]* and 0\.27443'
