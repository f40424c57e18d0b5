// SPDX-License-Identifier: Apache-2.0
// What a model's matrices are, said by one type: a storage, or a storage under an adapter.
#pragma once

#include <pocketllm/tensor/storage.hpp>

namespace pocketllm::layers {

/// Matrices stored as T that may have trainable terms of low rank beside them: `Roberta<Lora<f16>>`,
/// `Opt<Lora<i8>>`. layers/lora.hpp adds them.
template <tensor::WeightStorage T>
struct Lora {};

namespace detail {
template <class W>
struct StorageOf {};
template <tensor::WeightStorage T>
struct StorageOf<T> {
  using type = T;
};
template <tensor::WeightStorage T>
struct StorageOf<Lora<T>> {
  using type = T;
};
template <class W>
inline constexpr bool is_lora = false;
template <class T>
inline constexpr bool is_lora<Lora<T>> = true;
} // namespace detail

/// What layers and models take as their weights.
template <class W>
concept Weights = tensor::WeightStorage<W> || detail::is_lora<W>;

static_assert(Weights<float> && Weights<i8> && Weights<Lora<f16>>);
static_assert(!Weights<int> && !Weights<Lora<f16>*>);

/// The storage of matrices, and that of tables (embeddings, tied decoders), in a model of weights W.
template <Weights W>
using storage_of = typename detail::StorageOf<W>::type;
/// Of tables: that of matrices, but i8 where they are i4.
template <Weights W>
using table_storage_of = typename tensor::TableStorage<storage_of<W>>::type;

} // namespace pocketllm::layers
