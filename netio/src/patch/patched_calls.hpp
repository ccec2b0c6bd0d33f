// patched_calls: whether the patched calls (weft/detail/call_table.hpp) are what the program really calls.
#pragma once

#include <weft/detail/call_table.hpp>

namespace weft::detail {

// A name that the dynamic linker resolves to another function than ours, so that what other libraries call is not
// patched; null if there is none. What the program itself defines is the program's own.
char const* first_unpatched_call() noexcept;

} // namespace weft::detail
