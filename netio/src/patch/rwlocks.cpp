// The patched reader-writer locks. Of glibc's pthread_rwlock_t, four words are used, for purposes of our own; what its
// initializers write (the sharing and the preference) is read where glibc keeps it.
//
// Left to libc: those that are shared between processes. A fiber that has to wait for one looks again and again.
//
// Readers get in as long as no writer holds the lock, whoever waits (PTHREAD_RWLOCK_PREFER_READER_NP, the default), or as long
// as no writer waits, either (PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP).
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include <weft/detail/lock_owner.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/parking_lot.hpp>

#include "libc_function.hpp"
#include "lock_time.hpp"
#include "on_fiber.hpp"
#include "try_again.hpp"

using weft::detail::claimed_waiters;
using weft::detail::libc_function;
using weft::detail::lock_owner;
using weft::detail::lock_time;
using weft::detail::lot_guard;
using weft::detail::lot_waiter;
using weft::detail::on_fiber;
using weft::detail::wake_cause;

namespace {

using lock_type = pthread_rwlock_t;

constexpr libc_function<"pthread_rwlock_rdlock", int(lock_type*)> libc_rdlock;
constexpr libc_function<"pthread_rwlock_wrlock", int(lock_type*)> libc_wrlock;
constexpr libc_function<"pthread_rwlock_tryrdlock", int(lock_type*)> libc_tryrdlock;
constexpr libc_function<"pthread_rwlock_trywrlock", int(lock_type*)> libc_trywrlock;
constexpr libc_function<"pthread_rwlock_clockrdlock", int(lock_type*, clockid_t, timespec const*)>
    libc_clockrdlock;
constexpr libc_function<"pthread_rwlock_clockwrlock", int(lock_type*, clockid_t, timespec const*)>
    libc_clockwrlock;
constexpr libc_function<"pthread_rwlock_unlock", int(lock_type*)> libc_unlock;

enum role : std::uint32_t { reader, writer };

// How a reader waits for a lock that lets writers go first.
constexpr std::uint32_t polite_reader = 2;

// The state. Who unlocks learns from that one word whether somebody waits: the lock may be gone right after.
constexpr unsigned written = 1U << 31;
constexpr unsigned waited_for = 1U << 30;
constexpr unsigned most_readers = waited_for - 1; // below: their number

std::atomic_ref<unsigned> state_of(lock_type& lock) noexcept {
    return std::atomic_ref(lock.__data.__readers);
}

// Both are changed under the guard, by those who wait.
std::atomic_ref<unsigned> waiting(lock_type& lock) noexcept { return std::atomic_ref(lock.__data.__writers); }
std::atomic_ref<unsigned> waiting_writers(lock_type& lock) noexcept {
    return std::atomic_ref(lock.__data.__wrphase_futex);
}

std::atomic_ref<int> writer_of(lock_type& lock) noexcept { return std::atomic_ref(lock.__data.__cur_writer); }

bool is_shared(lock_type const& lock) noexcept { return lock.__data.__shared != 0; }

bool writers_first(lock_type const& lock) noexcept {
    return lock.__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
}

// 0, EBUSY or EAGAIN.
int try_read(lock_type& lock) noexcept {
    auto const state = state_of(lock);
    unsigned seen = state.load(std::memory_order_seq_cst);
    do {
        if ((seen & written) != 0 ||
            (writers_first(lock) && waiting_writers(lock).load(std::memory_order_seq_cst) != 0))
            return EBUSY;
        if ((seen & most_readers) == most_readers)
            return EAGAIN;
    } while (!state.compare_exchange_weak(seen, seen + 1, std::memory_order_seq_cst));
    return 0;
}

int try_write(lock_type& lock) noexcept {
    unsigned seen = state_of(lock).load(std::memory_order_seq_cst);
    do {
        if ((seen & ~waited_for) != 0)
            return EBUSY;
    } while (!state_of(lock).compare_exchange_weak(seen, seen | written, std::memory_order_seq_cst));
    writer_of(lock).store(lock_owner(), std::memory_order_relaxed);
    return 0;
}

int try_as(lock_type& lock, role as) noexcept { return as == reader ? try_read(lock) : try_write(lock); }

lot_waiter* first_writer(lot_guard const& lot) noexcept {
    lot_waiter* each = lot.first();
    while (each != nullptr && each->tag != writer)
        each = lot.next(*each);
    return each;
}

// Those that may try now: the first in line, and if it is a reader, all readers; but a writer, if there is one, where the
// readers would let it go first, and so go back to sleep.
claimed_waiters choose(lot_guard& lot) noexcept {
    claimed_waiters woken;
    while (lot_waiter* const first = lot.first()) {
        lot_waiter* const chosen = first->tag == polite_reader ? first_writer(lot)
                                   : first->tag == writer      ? first
                                                               : nullptr;
        if (chosen == nullptr)
            break;
        if (lot.take(*chosen, woken))
            return woken;
    }
    for (lot_waiter* each = lot.first(); each != nullptr;) {
        lot_waiter* const next = lot.next(*each);
        if (each->tag != writer)
            lot.take(*each, woken);
        each = next;
    }
    return woken;
}

// By the address alone.
void wake(lock_type const& lock) noexcept {
    lot_guard lot(&lock);
    claimed_waiters const woken = choose(lot);
    lot.unlock();
    woken.deliver();
}

class counted_wait {
public:
    counted_wait(lock_type& lock, role as) noexcept : lock_(lock), as_(as) {
        lot_guard const lot(&lock_);
        state_of(lock_).fetch_or(waited_for, std::memory_order_seq_cst);
        waiting(lock_).fetch_add(1, std::memory_order_seq_cst);
        if (as_ == writer)
            waiting_writers(lock_).fetch_add(1, std::memory_order_seq_cst);
    }
    counted_wait(counted_wait const&) = delete;
    counted_wait& operator=(counted_wait const&) = delete;
    ~counted_wait() {
        lot_guard const lot(&lock_);
        if (as_ == writer)
            waiting_writers(lock_).fetch_sub(1, std::memory_order_seq_cst);
        if (waiting(lock_).fetch_sub(1, std::memory_order_seq_cst) == 1)
            state_of(lock_).fetch_and(~waited_for, std::memory_order_seq_cst);
    }

private:
    lock_type& lock_;
    role as_;
};

// Tries and waits until it has the lock, or `limit`. Counted as waiting all the while: it is not off the record between being
// woken and trying again.
[[gnu::noinline]] int wait_as(lock_type& lock, role as, lock_time const& limit) noexcept {
    int result = EBUSY;
    {
        counted_wait const counted(lock, as);
        // A writer's own count must not keep it out, and doesn't: only readers look at it.
        while ((result = try_as(lock, as)) == EBUSY) {
            if (limit.over()) {
                result = ETIMEDOUT;
                break;
            }
            lot_waiter self(&lock, as == reader && writers_first(lock) ? polite_reader : std::uint32_t{as});
            {
                lot_guard lot(&lock);
                result = try_as(lock, as);
                if (result != EBUSY)
                    break;
                lot.enqueue(self);
            }
            if (self.wait({"pthread_rwlock", weft::detail::by_fibers}, limit.deadline()) ==
                wake_cause::timed_out)
                lot_guard(&lock).erase(self);
        }
    }
    // Readers that waited for this writer's sake need not any more.
    if (as == writer && result != 0)
        wake(lock);
    return result;
}

// A lock of libc's, on a fiber.
int lock_foreign(lock_type* lock, role as, lock_time const& limit) noexcept {
    return weft::detail::try_again("pthread_rwlock", limit, weft::detail::interruption::none, [=] {
        return as == reader ? libc_tryrdlock(lock) : libc_trywrlock(lock);
    });
}

// libc's call for a thread is the last argument.
template <class Libc> int lock_as(lock_type* lock, role as, lock_time const& limit, Libc libc) noexcept {
    if (!limit.valid()) // libc looks at it first, even where it need not wait
        return EINVAL;
    if (is_shared(*lock))
        return on_fiber() ? lock_foreign(lock, as, limit) : libc();
    int const result = try_as(*lock, as);
    if (result != EBUSY)
        return result;
    if (writer_of(*lock).load(std::memory_order_relaxed) == lock_owner())
        return EDEADLK;
    return wait_as(*lock, as, limit);
}

int read_lock(lock_type* lock) noexcept {
    return lock_as(lock, reader, {}, [=] { return libc_rdlock(lock); });
}

int write_lock(lock_type* lock) noexcept {
    return lock_as(lock, writer, {}, [=] { return libc_wrlock(lock); });
}

int lock_until(lock_type* lock, role as, clockid_t clock, timespec const* when) noexcept {
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return EINVAL;
    return lock_as(lock, as, {clock, when}, [=] {
        return as == reader ? libc_clockrdlock(lock, clock, when) : libc_clockwrlock(lock, clock, when);
    });
}

int try_read_lock(lock_type* lock) noexcept {
    return is_shared(*lock) ? libc_tryrdlock(lock) : try_read(*lock);
}
int try_write_lock(lock_type* lock) noexcept {
    return is_shared(*lock) ? libc_trywrlock(lock) : try_write(*lock);
}

int unlock(lock_type* lock) noexcept {
    if (is_shared(*lock))
        return libc_unlock(lock);
    auto const state = state_of(*lock);
    unsigned before = state.load(std::memory_order_relaxed);
    if ((before & written) != 0) {
        writer_of(*lock).store(0, std::memory_order_relaxed);
        before = state.fetch_and(~written, std::memory_order_seq_cst);
    } else {
        before = state.fetch_sub(1, std::memory_order_seq_cst);
        if ((before & most_readers) != 1)
            return 0;
    }
    if ((before & waited_for) != 0)
        wake(*lock);
    return 0;
}

} // namespace

extern "C" {

int pthread_rwlock_rdlock(lock_type* lock) noexcept { return read_lock(lock); }
int pthread_rwlock_wrlock(lock_type* lock) noexcept { return write_lock(lock); }
int pthread_rwlock_tryrdlock(lock_type* lock) noexcept { return try_read_lock(lock); }
int pthread_rwlock_trywrlock(lock_type* lock) noexcept { return try_write_lock(lock); }
int pthread_rwlock_timedrdlock(lock_type* lock, timespec const* when) noexcept {
    return lock_until(lock, reader, CLOCK_REALTIME, when);
}
int pthread_rwlock_timedwrlock(lock_type* lock, timespec const* when) noexcept {
    return lock_until(lock, writer, CLOCK_REALTIME, when);
}
int pthread_rwlock_clockrdlock(lock_type* lock, clockid_t clock, timespec const* when) noexcept {
    return lock_until(lock, reader, clock, when);
}
int pthread_rwlock_clockwrlock(lock_type* lock, clockid_t clock, timespec const* when) noexcept {
    return lock_until(lock, writer, clock, when);
}
int pthread_rwlock_unlock(lock_type* lock) noexcept { return unlock(lock); }

// libc's own other names.
int __pthread_rwlock_rdlock(lock_type* lock) noexcept { return read_lock(lock); }
int __pthread_rwlock_wrlock(lock_type* lock) noexcept { return write_lock(lock); }
int __pthread_rwlock_tryrdlock(lock_type* lock) noexcept { return try_read_lock(lock); }
int __pthread_rwlock_trywrlock(lock_type* lock) noexcept { return try_write_lock(lock); }
int __pthread_rwlock_unlock(lock_type* lock) noexcept { return unlock(lock); }

} // extern "C"
