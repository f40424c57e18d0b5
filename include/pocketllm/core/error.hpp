// SPDX-License-Identifier: Apache-2.0
// The one exception type of the library, and the way its messages are put together.
#pragma once

#include <initializer_list>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace pocketllm {

/// Thrown for every mistake in input, files or arguments. The message is one line that names the
/// place, what was found and what to do, e.g.
/// `roberta/config.json: num_attention_heads (15) does not divide hidden_size (1024)`.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

namespace detail {

/// One part of a message, without its type: there are hundreds of messages, and every type that
/// reached the stream through them would be compiled again for each. It must not outlive `value`.
class MessagePart {
public:
  MessagePart(char const* text) : value_(text), write_(write_text) {}
  MessagePart(std::ios_base& (&manipulator)(std::ios_base&)) // std::fixed
      : manipulator_(manipulator), write_(manipulate) {}
  template <class T>
  MessagePart(T const& value) : value_(&value), write_(write_value<T>) {}

  void write_to(std::ostream& out) const { write_(out, *this); }

private:
  static void write_text(std::ostream& out, MessagePart const& part) {
    out << static_cast<char const*>(part.value_);
  }
  static void manipulate(std::ostream& out, MessagePart const& part) { out << part.manipulator_; }
  template <class T>
  static void write_value(std::ostream& out, MessagePart const& part) {
    out << *static_cast<T const*>(part.value_);
  }

  union {
    void const* value_;
    std::ios_base& (*manipulator_)(std::ios_base&);
  };
  void (*write_)(std::ostream&, MessagePart const&);
};

[[nodiscard]] inline std::string join(std::initializer_list<MessagePart> parts) {
  std::ostringstream text;
  for (MessagePart const& part : parts) {
    part.write_to(text);
  }
  return std::move(text).str();
}

[[noreturn]] inline void throw_error(std::initializer_list<MessagePart> parts) { throw Error(join(parts)); }

} // namespace detail

/// Joins anything that can be written to a stream into one string.
template <class... Parts>
[[nodiscard]] std::string concat(Parts const&... parts) {
  return detail::join({parts...});
}

/// Throws `Error` with the parts joined into its message.
template <class... Parts>
[[noreturn]] void fail(Parts const&... parts) {
  detail::throw_error({parts...});
}

/// Throws `Error` with the parts joined into its message unless `condition` holds. The parts are
/// evaluated either way, so pass values, not computations.
template <class... Parts>
void require(bool condition, Parts const&... parts) {
  if (!condition) [[unlikely]] {
    fail(parts...);
  }
}

} // namespace pocketllm
