// unpatched_calls: the functions of libc that may wait, and that weft does not patch, each with the reason. `weft doctor` reports them.
//
// A name that weft comes to patch (netio/src/patch/patched_calls.inc) is to be taken out here; the tests insist.
// It is no part of the patch layer, so that not every program that links that carries the table.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft::services {

enum class unpatched_kind : std::uint8_t {
    blocks,    // waits for peers, processes, people: without end, and the worker with it
    passes,    // ends by itself: libc's, by design
    by_stream, // one or the other, as what the stream reads has it
};

struct unpatched_class {
    char const* name;
    unpatched_kind kind;
    char const* reason;
    char const* calls; // separated by white space
};

// The class of libc's function `name`; null if it doesn't wait, or is patched.
unpatched_class const* find_unpatched(std::string_view name);

// Of a class that is no function's: standard input by std::wcin.
unpatched_class const& standard_input();

} // namespace weft::services
