// SPDX-License-Identifier: Apache-2.0
// The header of a safetensors file: where it lies, and what it says of one tensor.
#pragma once

#include <pocketllm/core/error.hpp>
#include <pocketllm/io/dtype.hpp>
#include <pocketllm/io/strict_json.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pocketllm::io {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian, and so are phones");

/// A tensor of a file.
struct TensorEntry {
  std::string name;                   ///< the key in the header
  FileDType type{};                   ///< "dtype" of the header
  std::vector<std::size_t> shape;     ///< empty for a single number
  std::span<std::byte const> bytes{}; ///< row-major elements; may begin at any address, so copy, do not cast
};

/// `[4, 3]`, for messages.
[[nodiscard]] inline std::string shape_text(std::span<std::size_t const> shape) {
  std::string text = "[";
  for (std::size_t const size : shape) {
    text.append(text.size() > 1 ? ", " : "").append(std::to_string(size));
  }
  return text + "]";
}

/// `file: tensor "name"`, the beginning of a message.
[[nodiscard]] inline std::string tensor_place(std::string_view file, std::string_view name) {
  return concat(file, ": tensor ", text::quote(name, 200)); // longer than the names of any known model
}

/// The two parts of a file behind the 8 bytes of the header's length.
struct FileParts {
  std::string_view header;         ///< JSON
  std::span<std::byte const> data; ///< to which the tensors' offsets are relative
};

/// Finds the two parts. Throws Error that names `file` when the header's length cannot be right.
[[nodiscard]] inline FileParts split_file(std::span<std::byte const> bytes, std::string const& file) {
  constexpr std::uint64_t largest_header = 100'000'000; // the format's own limit
  std::string_view const text(reinterpret_cast<char const*>(bytes.data()), bytes.size());
  require(!text.starts_with("version https://git-lfs"), file,
          ": is a Git LFS pointer in place of the weights; fetch them with `git lfs pull`");
  std::uint64_t length = 0;
  require(bytes.size() >= sizeof length, file,
          ": truncated: expected a header length of 8 bytes, found a file of ", bytes.size(), " bytes");
  std::memcpy(&length, bytes.data(), sizeof length);
  require(length <= largest_header, file, ": header length is ", length, ", expected at most ",
          largest_header, "; this is no safetensors file, or a damaged one");
  std::size_t const behind = bytes.size() - sizeof length;
  require(length <= behind, file, ": truncated: expected a header of ", length, " bytes, found ", behind,
          " bytes behind the header length");
  auto const header = static_cast<std::size_t>(length);
  FileParts const parts{text.substr(sizeof length, header), bytes.subspan(sizeof length + header)};
  require(parts.header.starts_with('{'), file, ": header does not begin with {; this is no safetensors file");
  return parts;
}

namespace detail {

/// The list of non-negative integers under `key`.
[[nodiscard]] inline std::vector<std::uint64_t> read_integers(Json const& tensor, char const* key,
                                                              std::string const& place) {
  auto const found = tensor.find(key);
  require(found != tensor.end(), place, " has no ", key);
  require(found->is_array(), place, ": ", key, " is ", found->type_name(),
          ", expected a list of non-negative integers");
  std::vector<std::uint64_t> list;
  for (Json const& number : *found) {
    require(number.is_number_unsigned(), place, ": ", key,
            " has something that is not a non-negative integer");
    list.push_back(number.get<std::uint64_t>());
  }
  return list;
}

[[nodiscard]] inline FileDType read_dtype(Json const& tensor, std::string const& place) {
  auto const found = tensor.find("dtype");
  require(found != tensor.end() && found->is_string(), place, " has no dtype, or one that is not a string");
  std::string const& name = found->get_ref<std::string const&>();
  FileDType const* const type = find_dtype(name);
  if (type == nullptr) {
    fail(place, ": unknown dtype ", text::quote(name), ", expected one of ", list_dtypes());
  }
  return *type;
}

/// Bytes of a tensor of that type and shape.
[[nodiscard]] inline std::uint64_t count_bytes(FileDType const& type, std::span<std::size_t const> shape,
                                               std::string const& place) {
  std::uint64_t bits = type.bits;
  for (std::size_t const size : shape) {
    if (size != 0 && bits > std::numeric_limits<std::uint64_t>::max() / size) {
      fail(place, ": ", type.name, " ", shape_text(shape), " has more than 2^64 bits; the file is damaged");
    }
    bits *= size;
  }
  if (bits % 8 != 0) {
    fail(place, ": ", type.name, " ", shape_text(shape), " takes ", bits,
         " bits, which is no whole number of bytes");
  }
  return bits / 8;
}

} // namespace detail

/// What the header says of the tensor `name`, its bytes found in `data`. Throws Error that names `file`, the
/// tensor, what was expected and what was found.
[[nodiscard]] inline TensorEntry read_entry(std::string const& name, Json const& json,
                                            std::span<std::byte const> data, std::string const& file) {
  std::string const place = tensor_place(file, name);
  require(json.is_object(), place, " is ", json.type_name(), ", expected an object");
  TensorEntry entry{name, detail::read_dtype(json, place), {}};
  for (std::uint64_t const size : detail::read_integers(json, "shape", place)) {
    require(size <= std::numeric_limits<std::size_t>::max(), place, ": size ", size,
            " is beyond this machine's");
    entry.shape.push_back(static_cast<std::size_t>(size));
  }
  std::uint64_t const expected = detail::count_bytes(entry.type, entry.shape, place);
  std::vector<std::uint64_t> const offsets = detail::read_integers(json, "data_offsets", place);
  require(offsets.size() == 2, place, ": data_offsets has ", offsets.size(),
          " numbers, expected begin and end");
  auto const [begin, end] = std::pair(offsets[0], offsets[1]);
  require(begin <= end, place, ": data_offsets [", begin, ", ", end, "] end before they begin");
  require(end <= data.size(), place, ": data_offsets [", begin, ", ", end,
          "] end behind the data, which has ", data.size(),
          " bytes; the file is truncated or damaged, fetch it again");
  if (end - begin != expected) {
    fail(place, ": data_offsets [", begin, ", ", end, "] hold ", end - begin, " bytes, expected ", expected,
         " for ", entry.type.name, " ", shape_text(entry.shape));
  }
  entry.bytes = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(expected));
  return entry;
}

} // namespace pocketllm::io
