// bounded_semaphore: a semaphore that can't be released more often than it was acquired.
//
// Releasing too often is a mistake in the program, which a plain semaphore would turn into a limit that silently grows;
// here it throws std::logic_error and changes nothing. Otherwise as semaphore.
#pragma once

#include <weft/semaphore.hpp>

namespace weft {

class bounded_semaphore : private semaphore {
public:
    explicit bounded_semaphore(std::ptrdiff_t permits, char const* name = "")
        : semaphore("bounded_semaphore", permits, name) {}

    using semaphore::acquire;
    using semaphore::available;
    using semaphore::lock;
    using semaphore::max;
    using semaphore::name;
    using semaphore::try_acquire;
    using semaphore::try_acquire_for;
    using semaphore::try_acquire_until;
    using semaphore::try_lock;
    using semaphore::try_lock_for;
    using semaphore::try_lock_until;

    // Throws std::logic_error if fewer than `permits` are acquired.
    void release(std::ptrdiff_t permits = 1);
    void unlock() { release(); }
};

} // namespace weft
