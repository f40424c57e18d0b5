// SPDX-License-Identifier: Apache-2.0
// The journal's format: what is written is what is read, to the byte; what is not whole is not read.
#include "journal_toy.hpp"

#include <array>
#include <limits>
#include <optional>

namespace test_journal {

namespace io = pocketllm::io;
namespace journal = pocketllm::io::journal;
using Kind = io::JournalTail::Kind;
using toy::Json;

namespace {

Json const evaluation{{"evaluation", {{"accuracy", 0.875}}}};
io::Closing const closing{8, "finished",
                          "blake3:00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff"};
Json const about{{"about", {{"program", "make_journal_golden.py"}}}};

/// Writes what make_journal_golden.py does.
void write_golden(toy::fs::path const& path) {
  io::JournalHeader const header = toy::header(about);
  auto writer = io::JournalWriter::create(path, header);
  auto const gradient = [&](std::uint64_t step, float slope) {
    return std::vector<toy::Slope>{{header.seed(step, 0), slope}};
  };
  for (std::uint64_t step = 0; step < 5; ++step) {
    float const number = static_cast<float>(step);
    writer.append(step, 1e-6F, 0.75F - number / 16, gradient(step, (step % 2 == 0 ? 1.5F : -1.5F) * number));
  }
  writer.note(evaluation);
  writer.append(7, 5e-7F, 0.25F, gradient(7, -3.0F));
  writer.finish(closing);
}

/// A journal of `steps` steps, as `toy::append` makes them, as bytes.
std::string run_of(io::JournalHeader const& header, std::uint64_t steps, bool finished = false) {
  toy::TemporaryDirectory const directory;
  auto writer = io::JournalWriter::create(directory.path / "run.journal", header);
  for (std::uint64_t step = header.first_step(); step < header.first_step() + steps; ++step) {
    toy::append(writer, header, step);
  }
  if (finished) {
    writer.finish({writer.next_step(), "finished", "blake3:"});
  }
  writer.flush();
  return toy::read(directory.path / "run.journal");
}

/// A file of that header text and, if it is well formed otherwise, records made by `records`.
template <class F>
std::string file_with(std::string const& text, F&& records) {
  std::vector<std::byte> bytes = journal::encode_header(text);
  records(bytes, journal::stored_checksum(bytes));
  return {reinterpret_cast<char const*>(bytes.data()), bytes.size()};
}

void check_refused(std::string const& file, std::initializer_list<std::string> parts) {
  toy::check_error([&] { static_cast<void>(toy::read_journal_bytes(file)); }, {"run.journal"});
  toy::check_error([&] { static_cast<void>(toy::read_journal_bytes(file)); }, parts);
}

} // namespace

TEST_CASE("the bytes of the format are those of another program that writes it") {
  toy::TemporaryDirectory const directory;
  write_golden(directory.path / "run.journal");
  CHECK(toy::read(directory.path / "run.journal") == toy::read(toy::data / "run.journal"));
  CHECK(toy::names_in(directory.path) == std::vector<std::string>{"run.journal"});
}

TEST_CASE("reading a journal that another program wrote") {
  io::Journal const found = io::read_journal(toy::data / "run.journal");
  CHECK(found.header().json() == toy::header(about).json());
  REQUIRE(found.size() == 6);
  CHECK(found.steps()[3] == io::JournalStep{3, 1e-6F, 0.5625F});
  CHECK(found.steps()[5] == io::JournalStep{7, 5e-7F, 0.25F});
  // seeds of SplitMix64 seeded with 2^64 - 1
  CHECK(found.gradient<toy::Slope>(3) ==
        std::vector<toy::Slope>{{pocketllm::split_mix(18446744073709551615ULL, 3), -4.5F}});
  CHECK(found.seed(5, 0) == pocketllm::split_mix(18446744073709551615ULL, 7));
  CHECK(found.slopes(5)[0] == -3.0F);
  CHECK(found.next_step() == 8);
  REQUIRE(found.notes().size() == 2);
  CHECK(found.notes()[0].steps == 5);
  CHECK(found.notes()[0].json == evaluation);
  CHECK(found.closing() == closing);
  CHECK(found.tail().kind == Kind::none);
  CHECK(found.tail().bytes == 0);
  CHECK(found.tail_text() == "");
}

TEST_CASE("several slopes, stored seeds, a first step, a message that readers do not know") {
  io::Journal const found =
      io::read_journal(toy::fs::path(POCKETLLM_TEST_DATA) / "fuzz/seeds/journal/stored.journal");
  REQUIRE(found.size() == 4);
  CHECK(found.header().layout().record_bytes() == 50);
  std::uint64_t const last = std::numeric_limits<std::uint64_t>::max();
  CHECK(found.gradient<toy::Slope>(2) == std::vector<toy::Slope>{{2, 0.5F}, {last, -0.25F}, {12345, 2.0F}});
  CHECK(found.steps()[0].step == 100);
  CHECK(found.notes().size() == 1);
  CHECK(found.closing() == io::Closing{104, "stopped", ""});

  for (Json const& changes :
       {Json{{"slopes", 1}}, Json{{"slopes", 5}}, Json{{"slopes", 1024}, {"first_step", 70}},
        Json{{"slopes", 2}, {"seeds", {{"rule", "stored"}}}}}) {
    io::JournalHeader const header = toy::header(changes);
    io::Journal const read = toy::read_journal_bytes(run_of(header, 3, true));
    CHECK(read.size() == 3);
    CHECK(toy::is_right(read));
    CHECK(read.closing()->next_step == header.first_step() + 3);
  }
}

TEST_CASE("seeds by the rule: those of TwoPoint for one slope, one after the other for several") {
  io::JournalHeader const one = toy::header({{"seeds", {{"rule", "split_mix"}, {"run", 42}}}});
  CHECK(one.seed(9, 0) == pocketllm::split_mix(42, 9));
  io::JournalHeader const three =
      toy::header({{"seeds", {{"rule", "split_mix"}, {"run", 42}}}, {"slopes", 3}});
  CHECK(three.seed(9, 2) == pocketllm::split_mix(42, 29));
}

TEST_CASE("20,000 two-point steps take less than 400,000 bytes") {
  std::string const file = run_of(toy::header(), 20'000, true);
  CHECK(file.size() == toy::header_bytes(file) + 20'000 * 18 + 7 * 18);
  CHECK(file.size() <= 400'000);
  io::Journal const read = toy::read_journal_bytes(file);
  CHECK(read.size() == 20'000);
  CHECK(toy::is_right(read));
}

TEST_CASE("a journal cut anywhere is refused or gives its first records") {
  std::string const file = run_of(toy::header(), 6, true);
  std::size_t const begin = toy::header_bytes(file), steps_end = begin + 6 * 18;
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    std::string const part = file.substr(0, size);
    if (size < begin) {
      check_refused(part, {});
      continue;
    }
    io::Journal const read = toy::read_journal_bytes(part);
    std::size_t const whole =
        (std::min(size, steps_end) - begin) / 18; // the closing counts as a whole or not
    CHECK(read.size() == whole);
    CHECK(toy::is_right(read));
    CHECK_FALSE(read.closing());
    CHECK(read.tail().offset == begin + whole * 18);
    CHECK(read.tail().bytes == size - read.tail().offset);
    CHECK(read.tail().kind == (read.tail().bytes == 0 ? Kind::none : Kind::torn));
    std::string const text = pocketllm::concat("run.journal: the last ", read.tail().bytes, " bytes");
    CHECK(read.tail_text().starts_with(read.tail().bytes == 0 ? "" : text));
  }
}

TEST_CASE("whatever byte is wrong, no wrong record is read") {
  std::string const file = run_of(toy::header(), 6, true);
  std::size_t const begin = toy::header_bytes(file);
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (int const flip : {1, 0x80, 0xff, 0x20}) {
      CAPTURE(at);
      CAPTURE(flip);
      std::string bad = file;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      if (at < begin) {
        check_refused(bad, {});
        continue;
      }
      io::Journal const read = toy::read_journal_bytes(bad);
      CHECK(read.size() == std::min<std::size_t>(6, (at - begin) / 18));
      CHECK(toy::is_right(read));
      CHECK_FALSE(read.closing());
      CHECK(read.tail().offset <= at);
      CHECK(read.tail().offset + read.tail().bytes == file.size());
      if (at < file.size() - 3 * 18) { // one more may fail with it, but not both
        CHECK(read.tail().kind == Kind::damaged);
        CHECK(read.tail().records != 0);
        CHECK(read.tail_text().find("damaged at byte") != std::string::npos);
      }
    }
  }
}

TEST_CASE("records at another place, of another journal, or missing are not read") {
  std::string const file = run_of(toy::header(), 6);
  std::string const other = run_of(toy::header({{"base", "blake3:another"}}), 6);
  std::size_t const begin = toy::header_bytes(file);
  auto const record = [&](std::string const& from, std::size_t i) {
    return from.substr(toy::header_bytes(from) + 18 * i, 18);
  };
  auto const steps = [&](std::string const& bytes) { return toy::read_journal_bytes(bytes).size(); };
  std::string const head = file.substr(0, begin);
  CHECK(steps(head + record(file, 0) + record(file, 1)) == 2);
  CHECK(steps(head + record(file, 1)) == 0);
  CHECK(steps(head + record(file, 0) + record(file, 0)) == 1);
  CHECK(steps(head + record(file, 0) + record(file, 2)) == 1);
  CHECK(steps(head + record(other, 0)) == 0);
  CHECK(steps(file + std::string(5000, '\0')) == 6); // as some file systems leave it when the power goes
  CHECK(toy::read_journal_bytes(file + std::string(5000, '\0')).tail().kind == Kind::torn);
  CHECK(toy::read_journal_bytes(file + std::string(200'000, '\0')).tail().kind == Kind::damaged);
}

TEST_CASE("files that are no journals, or of another version") {
  check_refused("", {"is not a journal"});
  check_refused(std::string(1000, 'x'), {"is not a journal"});
  std::string file = run_of(toy::header(), 1);
  file[8] = 2;
  check_refused(file, {"has version 2", "expected 1"});
  toy::check_error([] { static_cast<void>(io::read_journal(toy::data / "nothing")); },
                   {"nothing", "cannot be read"});

  auto const none = [](auto&, auto) {};
  check_refused(file_with("{", none), {"run.journal: header: invalid JSON"});
  check_refused(file_with("[]", none), {"header: expected a JSON object"});
  check_refused(file_with("{}", none), {"header: has no \"base\""});
  for (char const* const member : io::required_members) {
    Json json = toy::header().json();
    json.erase(member);
    check_refused(file_with(json.dump(), none), {"header: has no \"", member});
  }
  auto const refused_with = [&](Json const& changes, std::initializer_list<std::string> parts) {
    Json json = toy::header().json();
    json.update(changes);
    check_refused(file_with(json.dump(), none), parts);
  };
  refused_with({{"slopes", 0}}, {"slopes is 0, expected 1 to 1024"});
  refused_with({{"slopes", 1025}}, {"slopes is 1025"});
  refused_with({{"slopes", -1}}, {"\"slopes\", an integer of 0 or more, found a negative one"});
  refused_with({{"slopes", "1"}}, {"found string"});
  refused_with({{"seeds", 7}}, {"expected \"seeds\"", "found none"});
  refused_with({{"seeds", {{"rule", "dice"}}}}, {"found \"dice\""});
  refused_with({{"seeds", {{"rule", "split_mix"}}}}, {"\"run\"", "found none"});
  refused_with({{"first_step", 18446744073709551615ULL}}, {"first_step"});
}

TEST_CASE("records that a newer version or another program may write") {
  std::string const text = toy::header().json().dump();
  journal::Layout const layout;
  std::array<float, 1> const slope{1.0F}, bad_slope{std::numeric_limits<float>::infinity()};
  check_refused(file_with(text,
                          [&](std::vector<std::byte>& to, std::uint32_t before) {
                            to.resize(to.size() + 18);
                            to[to.size() - 18] = std::byte{2};
                            journal::seal(std::span(to).last(18), before);
                          }),
                {"a record of kind 2, which changes weights and is not known", "newer pocketllm"});
  check_refused(file_with(text,
                          [&](std::vector<std::byte>& to, std::uint32_t before) {
                            journal::append_step(to, layout, 3, 1e-6F, 0.5F, bad_slope, {}, before);
                          }),
                {"step 3 has a slope or a rate that is not a number"});
  check_refused(file_with(text,
                          [&](std::vector<std::byte>& to, std::uint32_t before) {
                            std::size_t const begin = to.size();
                            before = journal::append_message(to, layout, 200, "more than one record", before);
                            to.resize(begin + 18);
                            before = journal::stored_checksum(to);
                            journal::append_step(to, layout, 0, 1e-6F, 0.5F, slope, {}, before);
                          }),
                {"out of its order"});
  check_refused(file_with(text,
                          [&](std::vector<std::byte>& to, std::uint32_t before) {
                            journal::append_message(to, layout, 200, "x", before);
                            std::span<std::byte> const last = std::span(to).last(18);
                            last[3] = std::byte{1}; // a length of 257
                            journal::seal(last, before);
                          }),
                {"a message is longer than its records"});
  for (char const* const note : {"", "{", "[]", R"({"closing": 1})", R"({"closing": {"next_step": -1}})",
                                 R"({"closing": {"next_step": 1, "outcome": 2}})"}) {
    check_refused(file_with(text,
                            [&](std::vector<std::byte>& to, std::uint32_t before) {
                              journal::append_message(to, layout, journal::note_kind, note, before);
                            }),
                  {});
  }
}

TEST_CASE("what differs between two runs is said") {
  io::JournalHeader const here = toy::header();
  io::require_same(toy::header({{"about", "another day"}}), here);
  auto const check = [&](Json const& changes, std::initializer_list<std::string> parts) {
    toy::check_error([&] { io::require_same(toy::header(changes), here, "run.journal"); },
                     {"run.journal: is of another run: "});
    toy::check_error([&] { io::require_same(toy::header(changes), here, "run.journal"); }, parts);
  };
  check({{"base", "blake3:ffff"}}, {R"(base is "blake3:ffff" in the journal, "blake3:0123)"});
  check({{"estimator", {{"epsilon", 0.01}, {"name", "two-point"}}}},
        {"estimator.epsilon is 0.01 in the journal, 0.001 here"});
  check({{"update", {{"name", "sgd"}, {"weight_decay", 0.0}, {"momentum", 0.9}}}},
        {"update.momentum is 0.9 in the journal, not there here"});
  check({{"update", {{"name", "sgd"}}}}, {"update.weight_decay is not there in the journal, 0.0 here"});
  check({{"trained", {"*", "more"}}}, {R"(trained[1] is "more" in the journal, not there here)"});
  check({{"trained", {"lora.*"}}}, {R"(trained[0] is "lora.*" in the journal, "*" here)"});
  check({{"trained", "a\nb"}}, {R"(trained is "a\nb" in)"});
  check({{"slopes", 2}, {"first_step", 9}},
        {"slopes is 2 in", "; ", "first_step is 9 in the journal, not there here"});
  Json many;
  for (char const* const member : io::required_members) {
    many[member] = 1;
  }
  many["slopes"] = 2;
  many["more\n"] = 1;
  check(many, {"base is 1", "; and 2 more; "});
  check({{"base", std::string(1000, 'x')}}, {"xxx... in the journal"});
}

TEST_CASE("floats are written with the digits that they need") {
  CHECK(io::readable(1e-6F).dump() == "1e-06");
  CHECK(io::readable(0.1F).dump() == "0.1");
  CHECK(io::readable(0.0F).dump() == "0.0");
  std::uint32_t bits = 1;
  for (int i = 0; i < 2000; ++i, bits += 0x1fffffU) { // of all sizes
    float const number = std::bit_cast<float>(bits);
    if (std::isfinite(number)) {
      CHECK(Json::parse(io::readable(number).dump()).get<float>() == number);
    }
  }
}

} // namespace test_journal
