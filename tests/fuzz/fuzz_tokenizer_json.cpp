// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any bytes as a tokenizer.json either throw pocketllm::Error of one line or make a
// tokenizer that encodes and decodes.
#include <pocketllm/core/error.hpp>
#include <pocketllm/text/tokenizer_json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view const bytes(reinterpret_cast<char const*>(data), size);
  try {
    auto const tokenizer = pocketllm::text::read_tokenizer_json(bytes);
    auto const ids = tokenizer.encode_framed(bytes, " it's <mask> \xff");
    (void)tokenizer.decode(ids);
    for (auto const id : ids) {
      (void)tokenizer.id_of(tokenizer.token_of(id));
    }
    if (tokenizer.token_ends(bytes).size() != tokenizer.encode(bytes).size()) {
      std::abort();
    }
  } catch (pocketllm::Error const& error) {
    if (std::string_view(error.what()).find('\n') != std::string_view::npos) {
      std::abort(); // messages are one line
    }
  }
  return 0;
}
