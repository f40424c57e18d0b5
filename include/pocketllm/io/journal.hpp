// SPDX-License-Identifier: Apache-2.0
// The journal: a training run in some 18 bytes a step. Made of
//   journal_format.hpp   the file, byte by byte
//   journal_header.hpp   what its JSON says, and how two runs differ
//   journal_parse.hpp, journal_reader.hpp   reading: what can be trusted, and what cannot
//   journal_file.hpp, journal_writer.hpp    writing, and going on after a crash
#pragma once

#include <pocketllm/io/journal_format.hpp>
#include <pocketllm/io/journal_header.hpp>
#include <pocketllm/io/journal_reader.hpp>
#include <pocketllm/io/journal_writer.hpp>
