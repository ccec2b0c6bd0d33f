// helper_thread: threads of weft's own, which block all signals, so that the program's handlers run on the program's threads.
#pragma once

#include <pthread.h>

#include <cstddef>

namespace weft::detail {

// A detached one, of a stack of `stack` bytes. False if there is none to be had.
bool start_helper(void* (*function)(void*), void* argument, std::size_t stack) noexcept;

// One that must be joined.
bool start_helper(pthread_t& thread, void* (*function)(void*), void* argument, std::size_t stack) noexcept;

// Those that have not ended.
std::size_t helper_count() noexcept;

// In the child of a fork, which has none of them.
void forget_helpers() noexcept;

} // namespace weft::detail
