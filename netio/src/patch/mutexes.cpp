#include "mutexes.hpp"

#include <sys/single_threaded.h>
#include <threads.h>

#include <atomic>
#include <cerrno>
#include <limits>

#include <weft/detail/lock_owner.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/parking_lot.hpp>

#include "libc_function.hpp"
#include "on_fiber.hpp"
#include "try_again.hpp"

namespace weft::detail {
namespace {

constexpr int type_bits = 3;        // PTHREAD_MUTEX_*_NP
constexpr int elision_bits = 0x300; // glibc's hints for transactional memory

constexpr int unlocked = 0;
constexpr int locked = 1;
constexpr int contended = 2;

int type_of(pthread_mutex_t const& mutex) noexcept { return mutex.__data.__kind & type_bits; }

bool knows_owner(pthread_mutex_t const& mutex) noexcept {
    int const type = type_of(mutex);
    return type == PTHREAD_MUTEX_RECURSIVE_NP || type == PTHREAD_MUTEX_ERRORCHECK_NP;
}

std::atomic_ref<int> word_of(pthread_mutex_t& mutex) noexcept { return std::atomic_ref(mutex.__data.__lock); }

// Others compare it with their own number, which it is not whatever they read.
std::atomic_ref<int> owner_of(pthread_mutex_t& mutex) noexcept {
    return std::atomic_ref(mutex.__data.__owner);
}

bool owns(pthread_mutex_t const& mutex) noexcept {
    return owner_of(const_cast<pthread_mutex_t&>(mutex)).load(std::memory_order_relaxed) == lock_owner();
}

// While the process has one thread, nothing happens between a look at a word and a change of it: fibers don't switch there. A
// step that is atomic to other threads takes longer than all the rest.
bool has_one_thread() noexcept { return __libc_single_threaded != 0; }

bool try_take(pthread_mutex_t& mutex) noexcept {
    std::atomic_ref<int> const word = word_of(mutex);
    int expected = unlocked;
    if (!has_one_thread())
        return word.compare_exchange_strong(expected, locked, std::memory_order_acquire,
                                            std::memory_order_relaxed);
    bool const free = word.load(std::memory_order_relaxed) == unlocked;
    if (free)
        word.store(locked, std::memory_order_relaxed);
    return free;
}

int let_go(pthread_mutex_t& mutex) noexcept {
    std::atomic_ref<int> const word = word_of(mutex);
    if (!has_one_thread())
        return word.exchange(unlocked, std::memory_order_seq_cst);
    int const before = word.load(std::memory_order_relaxed);
    word.store(unlocked, std::memory_order_relaxed);
    return before;
}

void note_taken(pthread_mutex_t& mutex) noexcept {
    owner_of(mutex).store(lock_owner(), std::memory_order_relaxed);
    ++mutex.__data.__nusers; // pthread_mutex_destroy(3) says EBUSY by it
    if (type_of(mutex) == PTHREAD_MUTEX_RECURSIVE_NP)
        mutex.__data.__count = 1;
}

// For the owner of a recursive one.
int lock_again(pthread_mutex_t& mutex) noexcept {
    if (mutex.__data.__count == std::numeric_limits<unsigned>::max())
        return EAGAIN;
    ++mutex.__data.__count;
    return 0;
}

[[gnu::noinline]] int take_slowly(pthread_mutex_t& mutex, lock_time const& limit) noexcept {
    std::atomic_ref<int> const word = word_of(mutex);
    if (!limit.valid())
        return EINVAL;
    // Who has waited takes it as contended: there may be others, whom the next unlock must look for.
    while (word.exchange(contended, std::memory_order_acquire) != unlocked) {
        if (limit.over())
            return ETIMEDOUT;
        wait_in_lot(&mutex, word, contended, {"pthread_mutex_lock", by_fibers}, limit.deadline());
    }
    return 0;
}

[[gnu::noinline]] void wake_one(pthread_mutex_t& mutex) noexcept {
    // The mutex may be gone by now; its address is all that is needed.
    lot_guard lot(&mutex);
    claimed_waiters const woken = lot.take_first(1);
    lot.unlock();
    woken.deliver();
}

} // namespace

bool is_ours(pthread_mutex_t const& mutex) noexcept {
    return (mutex.__data.__kind & ~(type_bits | elision_bits)) == 0;
}

int lock_mutex(pthread_mutex_t& mutex, lock_time const& limit) noexcept {
    if (try_take(mutex)) {
        note_taken(mutex);
        return 0;
    }
    if (knows_owner(mutex) && owns(mutex))
        return type_of(mutex) == PTHREAD_MUTEX_RECURSIVE_NP ? lock_again(mutex) : EDEADLK;
    int const error = take_slowly(mutex, limit);
    if (error == 0)
        note_taken(mutex);
    return error;
}

int try_lock_mutex(pthread_mutex_t& mutex) noexcept {
    if (try_take(mutex)) {
        note_taken(mutex);
        return 0;
    }
    if (type_of(mutex) == PTHREAD_MUTEX_RECURSIVE_NP && owns(mutex))
        return lock_again(mutex);
    return EBUSY;
}

int unlock_mutex(pthread_mutex_t& mutex) noexcept {
    if (knows_owner(mutex)) {
        if (!owns(mutex))
            return EPERM;
        if (type_of(mutex) == PTHREAD_MUTEX_RECURSIVE_NP && --mutex.__data.__count != 0)
            return 0;
    }
    owner_of(mutex).store(0, std::memory_order_relaxed);
    --mutex.__data.__nusers;
    if (let_go(mutex) == contended)
        wake_one(mutex);
    return 0;
}

} // namespace weft::detail

using weft::detail::libc_function;
using weft::detail::lock_time;
using weft::detail::on_fiber;

namespace {

constexpr libc_function<"pthread_mutex_lock", int(pthread_mutex_t*)> libc_lock;
constexpr libc_function<"pthread_mutex_trylock", int(pthread_mutex_t*)> libc_trylock;
constexpr libc_function<"pthread_mutex_timedlock", int(pthread_mutex_t*, timespec const*)> libc_timedlock;
constexpr libc_function<"pthread_mutex_clocklock", int(pthread_mutex_t*, clockid_t, timespec const*)>
    libc_clocklock;
constexpr libc_function<"pthread_mutex_unlock", int(pthread_mutex_t*)> libc_unlock;

// A mutex of libc's, on a fiber.
int lock_foreign(pthread_mutex_t* mutex, lock_time const& limit) noexcept {
    return weft::detail::try_again("pthread_mutex_lock", limit, weft::detail::interruption::none,
                                   [mutex] { return libc_trylock(mutex); });
}

int lock(pthread_mutex_t* mutex) noexcept {
    if (weft::detail::is_ours(*mutex)) [[likely]]
        return weft::detail::lock_mutex(*mutex);
    return on_fiber() ? lock_foreign(mutex, {}) : libc_lock(mutex);
}

int try_lock(pthread_mutex_t* mutex) noexcept {
    if (weft::detail::is_ours(*mutex)) [[likely]]
        return weft::detail::try_lock_mutex(*mutex);
    return libc_trylock(mutex);
}

int lock_until(pthread_mutex_t* mutex, clockid_t clock, timespec const* when) noexcept {
    lock_time const limit(clock, when);
    if (weft::detail::is_ours(*mutex)) [[likely]]
        return weft::detail::lock_mutex(*mutex, limit);
    if (on_fiber())
        return lock_foreign(mutex, limit);
    return clock == CLOCK_REALTIME ? libc_timedlock(mutex, when) : libc_clocklock(mutex, clock, when);
}

int unlock(pthread_mutex_t* mutex) noexcept {
    if (weft::detail::is_ours(*mutex)) [[likely]]
        return weft::detail::unlock_mutex(*mutex);
    return libc_unlock(mutex);
}

// C11's locks are glibc's pthread mutexes under another name: threads.h.
pthread_mutex_t* of_c11(mtx_t* mutex) noexcept { return reinterpret_cast<pthread_mutex_t*>(mutex); }

int to_c11(int error) noexcept {
    switch (error) {
    case 0: return thrd_success;
    case ENOMEM: return thrd_nomem;
    case ETIMEDOUT: return thrd_timedout;
    case EBUSY: return thrd_busy;
    default: return thrd_error;
    }
}

} // namespace

int weft::detail::lock_any_mutex(pthread_mutex_t& mutex) noexcept { return lock(&mutex); }
int weft::detail::unlock_any_mutex(pthread_mutex_t& mutex) noexcept { return unlock(&mutex); }

extern "C" {

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept { return lock(mutex); }
int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept { return try_lock(mutex); }
int pthread_mutex_timedlock(pthread_mutex_t* mutex, timespec const* when) noexcept {
    return lock_until(mutex, CLOCK_REALTIME, when);
}
int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, timespec const* when) noexcept {
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return EINVAL;
    return lock_until(mutex, clock, when);
}
int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept { return unlock(mutex); }

int mtx_lock(mtx_t* mutex) { return to_c11(lock(of_c11(mutex))); }
int mtx_trylock(mtx_t* mutex) { return to_c11(try_lock(of_c11(mutex))); }
int mtx_timedlock(mtx_t* mutex, timespec const* when) {
    return to_c11(lock_until(of_c11(mutex), CLOCK_REALTIME, when));
}
int mtx_unlock(mtx_t* mutex) { return to_c11(unlock(of_c11(mutex))); }

// libc's own other names.
int __pthread_mutex_lock(pthread_mutex_t* mutex) noexcept { return lock(mutex); }
int __pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept { return try_lock(mutex); }
int __pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept { return unlock(mutex); }

} // extern "C"
