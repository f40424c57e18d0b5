# SPDX-License-Identifier: Apache-2.0
# compile_time.py with a stand-in for the compiler: each example is compiled by its own command into another file than
# that of the build, and the umbrella header by custom_loop's.
. "$(dirname "$0")/../examples/common.sh"
examples=$2
script=$4/compile_time.py
program=$5

cat >compiler <<'END'
#!/bin/sh
[ "$1" != --version ] || { echo 'a compiler 1.2'; echo 'of somebody'; exit; }
echo "$*" >>"$(dirname "$0")/asked"
case "$*" in *broken*) echo 'broken.cpp: no' >&2; exit 1 ;; esac
END
chmod +x compiler
entry() { # source flags
  echo "{\"directory\": \"/\", \"file\": \"$1\", \"command\": \"$PWD/compiler $2 -o build.o -c $1\"}"
}
mkdir build
commands() { # a further entry
  {
    echo "[$(entry "$examples/embed.cpp" -Os), $(entry "$examples/custom_loop.cpp" -O1),"
    echo "$(entry "$examples/embed.cpp" -DTWICE), $(entry "$PWD/test.cpp" -O9)${1:+, $1}]"
  } >build/compile_commands.json
}
printf 'before\n<!-- compile:begin -->\nold\n<!-- compile:end -->\nbehind\n' >README.md

commands ''
run "$script" --build build --repeat 2 --write .
expect_success 'a compiler 1.2:'
check 'rows by name' [ "$(grep -o '^| [^|]*\(cpp\|alone\) | [0-9.]* |$' README.md | cut -d'|' -f2 | tr '\n' ' ')" = \
  ' `pocketllm.hpp` alone   custom_loop.cpp   embed.cpp  ' ]
check 'what was there is gone' sh -c '! grep -q old README.md'
[ "$(wc -l <asked)" -eq 6 ] || complain 'not twice each'
check 'by the first command of a source' sh -c '! grep -q -e TWICE -e O9 asked'
[ "$(grep -c -- '-O1 -o build.o -c .*/umbrella.cpp -o /.*out.o$' asked)" -eq 2 ] || complain 'the umbrella otherwise'
[ "$(grep -c -- "-Os -o build.o -c $examples/embed.cpp -o /.*out.o\$" asked)" -eq 2 ] || complain 'embed otherwise'

commands "$(entry "$examples/broken.cpp" -O1)"
run "$script" --build build --repeat 1
expect_early_error 1 "compile_time.py: $examples/broken.cpp: broken.cpp: no"
echo '[]' >build/compile_commands.json
run "$script" --build build
expect_early_error 1 'build/compile_commands.json: the examples are not built there'
run "$script" --build nowhere
expect_early_error 1 'nowhere/compile_commands.json: No such file or directory; configure with the preset release'
finish
