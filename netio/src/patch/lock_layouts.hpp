// lock_layouts: whether libc keeps its locks as this layer takes them to be.
//
// Fibers and threads share the words of glibc's locks, whose layout is no promise of glibc's. So libc's own functions are made to
// write into each kind once, and what they wrote is looked at.
#pragma once

namespace weft::detail {

// The type that is kept otherwise; null if all are as expected.
char const* first_unknown_layout() noexcept;

} // namespace weft::detail
