// mutexes: pthread mutexes that fibers can wait for, and own.
//
// The words of glibc's pthread_mutex_t keep their meaning: `__lock` is 0 free, 1 locked, 2 locked and waited for; a mutex that
// libc has locked can be unlocked by us, and the other way round. What differs is where one waits (parking_lot.hpp: fibers
// park, threads sleep) and who owns: the fiber, not its thread (lock_owner.hpp).
//
// Left to libc: robust, priority-inheriting, priority-protected and process-shared mutexes, which the kernel or other processes
// know by their thread. A fiber that has to wait for one looks again and again, in growing intervals.
#pragma once

#include <pthread.h>

#include "lock_time.hpp"

namespace weft::detail {

// Whether `mutex` is one of ours; otherwise it is libc's.
bool is_ours(pthread_mutex_t const& mutex) noexcept;

// Of ours: pthread_mutex_lock(3) with a limit, and so on; 0 or an errno.
int lock_mutex(pthread_mutex_t& mutex, lock_time const& limit = {}) noexcept;
int try_lock_mutex(pthread_mutex_t& mutex) noexcept;
int unlock_mutex(pthread_mutex_t& mutex) noexcept;

// Of any kind, by a fiber or a plain thread; 0 or an errno.
int lock_any_mutex(pthread_mutex_t& mutex) noexcept;
int unlock_any_mutex(pthread_mutex_t& mutex) noexcept;

} // namespace weft::detail
