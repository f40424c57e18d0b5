// SPDX-License-Identifier: Apache-2.0
// The real weights of all-MiniLM-L6-v2, where POCKETLLM_MINILM_DIR names their directory, against what
// make_minilm_reference.py has written into it.
#include "models/encoder_case.hpp"
#include <pocketllm/models/bert.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace test_minilm {

using namespace pocketllm;
using encoders::Json;

namespace {

std::filesystem::path minilm() {
  char const* const directory = std::getenv("POCKETLLM_MINILM_DIR");
  return directory == nullptr ? "" : directory;
}

} // namespace

TEST_CASE("all-MiniLM-L6-v2: hidden states and embeddings are those of transformers" *
          doctest::skip(minilm().empty())) {
  auto const model = io::load<models::Bert<float>>(minilm());
  golden::Tensors const tensors(minilm() / "reference.safetensors");
  Json const json = io::read_object(minilm() / "reference.json").at("batches").front();
  encoders::Examples const examples(json);
  Runtime runtime;
  auto const found = encoders::run(model, examples, runtime);
  REQUIRE(found.states.size() == 7);
  for (std::size_t i = 0; i < found.states.size(); ++i) {
    CAPTURE(i);
    auto const expected = tensors.rows("batch.hidden_states." + std::to_string(i), examples.places);
    CHECK(golden::relative_error(found.states[i], expected) <= golden::tolerance);
  }
  Workspace::Frame const frame(runtime.workspace());
  Lanes<float> const embeddings =
      model.pooled(examples.tokens, models::Pooling::mean, random::unperturbed(), runtime);
  models::normalize_rows(embeddings, runtime);
  CHECK(golden::relative_error(encoders::copy(embeddings), tensors["batch.logits"]) <= golden::tolerance);
}

} // namespace test_minilm
