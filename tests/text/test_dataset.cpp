// SPDX-License-Identifier: Apache-2.0
// Tables and labelled examples: what the three formats hold, and what is said of files that are wrong.
#include "temporary_folder.hpp"
#include <pocketllm/text/dataset.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace test_dataset {

using namespace pocketllm;
using namespace pocketllm::text;
using Row = std::vector<std::string>;

namespace {

struct Files : test::TemporaryFolder {
  /// The columns of a file of these bytes, row by row.
  [[nodiscard]] std::vector<Row> rows(char const* name, std::string_view bytes, Row columns,
                                      TableOptions options = {}) const {
    std::vector<Row> rows;
    for (Record& record : read_table(write(name, bytes), std::move(columns), options).records) {
      rows.push_back(std::move(record.cells));
    }
    return rows;
  }

  /// What is said of a file of these bytes.
  [[nodiscard]] std::string complaint(char const* name, std::string_view bytes, Row columns,
                                      TableOptions options = {}) const {
    return error([&] { static_cast<void>(rows(name, bytes, columns, options)); });
  }
};

} // namespace

TEST_CASE("TSV: columns by name, quotes are text, a line's end may be CRLF, a byte order mark is left out") {
  Files const files;
  std::vector<Row> const expected{{"say \"hi", "ham"}, {"", "spam"}, {"last \" line", "ham"}};
  CHECK(files.rows("a.tsv", "Label\tn\tSMS\nham\t1\tsay \"hi\nspam\t2\t\n\nham\t3\tlast \" line",
                   {"SMS", "Label"}) == expected);
  CHECK(
      files.rows("b.TSV",
                 "\xef\xbb\xbfLabel\tn\tSMS\r\nham\t1\tsay \"hi\r\nspam\t2\t\r\n\r\nham\t3\tlast \" line\r\n",
                 {"SMS", "Label"}) == expected);
}

TEST_CASE("columns by number: without a header by themselves, with one when it is asked for") {
  Files const files;
  CHECK(files.rows("a.tsv", "x\ty\nz\tw\n", {"#1"}) == std::vector<Row>{{"y"}, {"w"}});
  CHECK(files.rows("a.tsv", "x\ty\nz\tw\n", {"#1"}, {.header = true}) == std::vector<Row>{{"w"}});
  CHECK(files.rows("a.csv", "x,#0\nz,w\n", {"#0"}, {.header = true}) == std::vector<Row>{{"w"}}); // its name
  CHECK(files.rows("a.tsv", "x\ty\nz\tw\n", {"#1", "x"}) == std::vector<Row>{{"w", "z"}});
  CHECK(files.complaint("a.tsv", "x\ty\n", {"#2"}) == "a.tsv: no column \"#2\"; there are 2, #0 to #1");
  CHECK(files.complaint("a.tsv", "x\ty\n", {"x"}, {.header = false}) ==
        "a.tsv: has no header to find the column \"x\" in; choose columns by number, #0 to #1");
  CHECK(files.complaint("a.tsv", "x\ty\nz\tw\n", {"#1x"}) ==
        "a.tsv: no column \"#1x\"; choose one that the header has: x, y");
  CHECK(files.complaint("a.tsv", "x\ty\n", {"#99999999999999999999"}).find("no column") != std::string::npos);
}

TEST_CASE("CSV: quotes, doubled quotes, commas and line ends inside, as RFC 4180 has them") {
  Files const files;
  std::string const bytes = "text,label\r\n"
                            "\"one, two\",a\r\n"
                            "\"say \"\"hi\"\"\",b\r\n"
                            "\"two\r\nlines\n\",c\r\n"
                            "\r\n"
                            "5\" nails,\"\"\r\n"
                            "\"\"\"\",last";
  std::vector<Row> const expected{
      {"one, two", "a"}, {"say \"hi\"", "b"}, {"two\r\nlines\n", "c"}, {"5\" nails", ""}, {"\"", "last"}};
  CHECK(files.rows("a.csv", bytes, {"text", "label"}) == expected);
  CHECK(files.rows("a.csv", bytes + "\r\n", {"text", "label"}) == expected);
  CHECK(files.rows("a.csv", bytes + "\r", {"text", "label"}) == expected);
  CHECK(files.rows("a.csv", "a,b\n,\n", {"a", "b"}) == std::vector<Row>{{"", ""}});

  Table const table = read_table(files.write("b.csv", "t\n\"1\n2\"\n3\n\n4\n"), {"t"});
  REQUIRE(table.records.size() == 3);
  CHECK(table.records[0].line == 2);
  CHECK(table.records[1].line == 4);
  CHECK(table.records[2].line == 6);
}

TEST_CASE("JSON lines: members by name, numbers and booleans as they are written") {
  Files const files;
  CHECK(files.rows("a.jsonl",
                   "{\"text\": \"tab\\t \\u00e9 \\\"\", \"label\": 1, \"more\": [2]}\n \r\n"
                   "{\"label\": true, \"text\": \"\\ud83d\\ude00\"}\r\n{\"label\": 0.5, \"text\": \"x\"}",
                   {"text", "label"}) ==
        std::vector<Row>{{"tab\t \u00e9 \"", "1"}, {"\U0001f600", "true"}, {"x", "0.5"}});
  CHECK(files.complaint("a.jsonl", "{\"text\": \"x\"}\n{\"Text\": \"y\", \"n\": 1}\n", {"text"}) ==
        "a.jsonl:2: no member \"text\"; the object has: Text, n");
  CHECK(files.complaint("a.jsonl", "{\"text\": null}", {"text"}) ==
        "a.jsonl:1: member \"text\" is null; expected a string");
  CHECK(files.complaint("a.jsonl", "[1]", {"text"}) ==
        "a.jsonl:1: the line holds array; expected an object, {\"member\": ...}");
  CHECK(files.complaint("a.jsonl", "\n{\"text\": \"x\"}\n{\"text\": \"x\n", {"text"})
            .starts_with("a.jsonl:3: invalid JSON at column "));
  CHECK(files.complaint("a.jsonl", "{\"text\": \"\\ud800\"}", {"text"})
            .starts_with("a.jsonl:1: invalid JSON at column "));
  CHECK(files.complaint("a.jsonl", std::string(100'000, '['), {"text"})
            .starts_with("a.jsonl:1: invalid JSON at column "));
  CHECK(files.complaint("a.ndjson", "\n", {"text"}) == "a.ndjson: is empty");
}

TEST_CASE("a file that cannot be read says where and why, in one line") {
  Files const files;
  CHECK(files.complaint("sms.tsv", "Label\tSMS\nham\tx\n", {"Text"}) ==
        "sms.tsv: no column \"Text\"; choose one that the header has: Label, SMS");
  CHECK(files.complaint("a.csv", "\"a\nb\",two words,c,\nx,y,z,w\n", {"Text"}) ==
        "a.csv: no column \"Text\"; choose one that the header has: \"a\\nb\", \"two words\", c, \"\"");
  CHECK(files.complaint("a.tsv", "x\tx\n1\t2\n", {"x"}) ==
        "a.tsv: the header has \"x\" more than once; rename one of them");
  CHECK(files.complaint("a.tsv", "x\ty\n1\t2\n1\t2\t3\n", {"x"}) ==
        "a.tsv:3: 3 columns, where line 1 has 2; text with tabs or line ends needs .csv or .jsonl");
  CHECK(files.complaint("a.csv", "x,y\n1,\"a\nb\"\n1\n", {"x"}) ==
        "a.csv:4: 1 columns, where line 1 has 2; text with commas or line ends needs quotation marks around "
        "it");
  CHECK(files.complaint("a.csv", "x,y\n1,2\n\"1\n,2\n", {"x"}) ==
        "a.csv:3: the quotation mark that opens here is never closed");
  CHECK(files.complaint("a.csv", "x,y\n\"1\n1\" ,2\n", {"x"}) ==
        "a.csv:3: text after a closing quotation mark; inside quoted text each mark is written twice");
  CHECK(files.complaint("a.tsv", "x\nabc\n\xff\n", {"x"}) ==
        "a.tsv:3: invalid UTF-8; save the file as UTF-8");
  CHECK(files.complaint("a.tsv", std::string_view("\xff\xfex\0", 4), {"x"}) ==
        "a.tsv: is UTF-16; save it as UTF-8");
  CHECK(files.complaint("a.tsv", "", {"x"}) == "a.tsv: is empty");
  CHECK(files.complaint("a.csv", "\xef\xbb\xbf\n\r\n", {"x"}) == "a.csv: is empty");
  CHECK(files.complaint("a.tsv", "x\ty\n", {"x"}) == "a.tsv: has a header and no lines below it");
  CHECK(files.complaint("a.txt", "x\n", {"x"}) ==
        "a.txt: unknown kind of table \".txt\"; name it .tsv, .csv or .jsonl, or say its format");
  CHECK(files.rows("a.txt", "x\n1\n", {"x"}, {TableFormat::tsv}) == std::vector<Row>{{"1"}});
  CHECK(files.error([&] { static_cast<void>(read_table(files.path() / "none.tsv", {"x"})); })
            .starts_with("none.tsv: cannot be read"));
}

TEST_CASE("a data set has its classes in order of appearance, or as given") {
  Files const files;
  auto const path = files.write("a.csv", "first,second,label\na,b,no\nc,d,yes\ne,f,no\n");
  Dataset const found = read_dataset(path, {{"second", "first"}, "label"});
  CHECK(found.classes == Row{"no", "yes"});
  CHECK(found.field_names == Row{"second", "first"});
  REQUIRE(found.size() == 3);
  CHECK(found.examples[1].fields == Row{"d", "c"});
  CHECK(found.examples[1].label == "yes");
  CHECK(found.class_indices() == std::vector<std::size_t>{0, 1, 0});
  CHECK(found.class_sizes() == std::vector<std::size_t>{2, 1});

  Dataset const given = read_dataset(path, {{"first"}, "label", {"maybe", "yes", "no"}});
  CHECK(given.class_indices() == std::vector<std::size_t>{2, 1, 2});
  CHECK(given.class_sizes() == std::vector<std::size_t>{0, 1, 2});
}

TEST_CASE("labels that are not classes are refused with their line") {
  Files const files;
  auto const path = files.write("a.csv", "text,label\na,no\nb,yes\nc,\"no\nidea\"\nd,\n");
  auto const complaint = [&](DatasetOptions const& options) {
    return files.error([&] { static_cast<void>(read_dataset(path, options)); });
  };
  CHECK(complaint({{"text"}, "label", {"no", "yes"}}) ==
        "a.csv:4: label \"no\\nidea\" is not one of: no, yes");
  CHECK(complaint({{"text"}, "label"}) == "a.csv:6: the label is empty");
  CHECK(complaint({{"text"}, "label", {"a", "b", "a"}}) ==
        "class \"a\" is named twice; name each class once");
  CHECK(complaint({{}, "label"}) == "no text column is named; name at least one");
  CHECK(complaint({{"text"}, ""}) == "no label column is named; name one");

  std::string many = "text,label\n";
  for (int i = 0; i < 1001; ++i) {
    many += "x,label " + std::to_string(i) + "\n";
  }
  CHECK(files.error([&] {
    static_cast<void>(read_dataset(files.write("b.csv", many), {{"text"}, "label"}));
  }) == "b.csv:1002: more than 1000 different labels; is the label column the right one?");
}

} // namespace test_dataset
