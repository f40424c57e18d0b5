# SPDX-License-Identifier: Apache-2.0
# custom_loop lowers the loss, and says what is wrong with its argument.
. "$(dirname "$0")/common.sh"

run "$model"
expect_success 'step 0  loss 0.'
[ "$(grep -c '^step [0-9]*  loss 0\.[0-9]*$' out.txt)" -eq 6 ] || complain 'not six losses'
check 'the loss falls' awk 'NR > 1 && $4 >= last { exit 1 } { last = $4 }' out.txt
run nowhere
expect_early_error 1 'custom_loop: nowhere: no such directory; expected a directory with config.json'
finish
