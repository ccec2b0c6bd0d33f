// fail_misuse: for misuse that can't throw.
#pragma once

namespace weft::detail {

// Ends the process with these words.
[[noreturn]] void fail_misuse(char const* what) noexcept;

} // namespace weft::detail
