# SPDX-License-Identifier: Apache-2.0
# For the tests of finetune_causal, behind common.sh: it with the shipped OPT and the messages as texts.
opt=$(dirname "$model")/tiny-opt
generate=$(dirname "$program")/generate
classifier=$(dirname "$program")/finetune_classifier

# Texts of one's own; further options.
write_texts() {
  run --model "$opt" --data "$data" --text-column SMS --where Label=ham --max-tokens "$tokens" --batch "$batch" \
    --train-size 60 --test-size "$some" --sample-tokens "$sampled" --learning-rate 1e-4 "$@"
}

# What was printed for $1 ("before", "after", "result").
result_of() {
  sed -n "s/^$1  *//p" out.txt
}

# Questions and answers of the file $1; further options.
answer_questions() {
  file=$1
  shift
  run --data "$file" --text-column question --text-column answer --template 'Question: {question}\nAnswer:' \
    --answer ' {answer}' "$@"
}

# Works out anew, from the texts, how the answers in the predictions $1 match: prints what a program prints of it,
# or what differs from the file's own figures.
rate_answers() {
  awk '
    function text_of(name) {
      if (!match($0, "\"" name "\":\"([^\"\\\\]|\\\\.)*\"")) return ""
      return substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 5)
    }
    function figure_of(name) {
      match($0, "\"" name "\":[0-9.e-]+")
      return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0
    }
    function words_of(text) { # in a line, without articles and punctuation
      gsub(/\\[nt]/, " ", text)
      gsub(/[^ -~]/, "x", text)
      text = " " tolower(text) " "
      gsub(/[^a-z0-9 ]/, "", text)
      gsub(/ +/, "  ", text)
      gsub(/ (a|an|the) /, " ", text)
      gsub(/ +/, " ", text)
      return text
    }
    /"generated":/ {
      expected = words_of(text_of("expected")); generated = words_of(text_of("generated"))
      n = split(expected, want); m = split(generated, got)
      split("", left)
      for (i = 1; i <= n; ++i) ++left[want[i]]
      common = 0
      for (i = 1; i <= m; ++i) if (left[got[i]]-- > 0) ++common
      same = expected == generated
      share = n == 0 || m == 0 ? same : 2 * common / (n + m)
      difference = share - figure_of("f1")
      if (same != figure_of("exact_match") || difference > 1e-9 || difference < -1e-9) print "wrong: " $0
      exact += same; f1 += share; ++count
    }
    END { if (count) printf "exact match %.1f %%  F1 %.1f %%\n", 100 * exact / count, 100 * f1 / count }' "$1"
}
