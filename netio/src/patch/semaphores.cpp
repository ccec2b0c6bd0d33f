// The patched POSIX semaphores. glibc's sem_t, on 64 bits, is one word: the value below, the number of waiters above; that stays
// so, and sem_trywait() and sem_getvalue() are libc's. Those who wait lie in the parking lot.
//
// Left to libc: those that are shared between processes (all named ones). A fiber that has to wait for one looks again
// and again, in growing intervals.
#include <semaphore.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>

#include <weft/detail/park.hpp>
#include <weft/detail/parking_lot.hpp>

#include "../ended_wait.hpp"
#include "libc_function.hpp"
#include "lock_time.hpp"
#include "on_fiber.hpp"
#include "try_again.hpp"

using weft::detail::claimed_waiters;
using weft::detail::interruption;
using weft::detail::libc_function;
using weft::detail::lock_time;
using weft::detail::lot_guard;
using weft::detail::lot_waiter;
using weft::detail::on_fiber;
using weft::detail::wake_cause;

namespace {

constexpr libc_function<"sem_wait", int(sem_t*)> libc_wait;
constexpr libc_function<"sem_timedwait", int(sem_t*, timespec const*)> libc_timedwait;
constexpr libc_function<"sem_clockwait", int(sem_t*, clockid_t, timespec const*)> libc_clockwait;
constexpr libc_function<"sem_trywait", int(sem_t*)> libc_trywait;
constexpr libc_function<"sem_post", int(sem_t*)> libc_post;

// What glibc has in a sem_t.
struct words {
    std::uint64_t value_and_waiters;
    int sharing; // 0: one process's
    int unused;
};
static_assert(sizeof(words) <= sizeof(sem_t));

constexpr std::uint64_t one_waiter = std::uint64_t{1} << 32;
constexpr std::uint64_t value_mask = one_waiter - 1;

words& words_of(sem_t* semaphore) noexcept { return *reinterpret_cast<words*>(semaphore); }
std::atomic_ref<std::uint64_t> data_of(sem_t* semaphore) noexcept {
    return std::atomic_ref(words_of(semaphore).value_and_waiters);
}
bool is_shared(sem_t* semaphore) noexcept { return words_of(semaphore).sharing != 0; }

int fail(int error) noexcept {
    errno = error;
    return -1;
}

bool try_take(sem_t* semaphore) noexcept {
    auto const data = data_of(semaphore);
    std::uint64_t seen = data.load(std::memory_order_relaxed);
    while ((seen & value_mask) != 0)
        if (data.compare_exchange_weak(seen, seen - 1, std::memory_order_seq_cst))
            return true;
    return false;
}

// By the address alone: whoever was counted may have taken what was posted, and ended the semaphore.
void wake_one(void const* semaphore) noexcept {
    lot_guard lot(semaphore);
    claimed_waiters const woken = lot.take_first(1);
    lot.unlock();
    woken.deliver();
}

// Counted as a waiter for the length of a wait, however it ends.
class counted_wait {
public:
    explicit counted_wait(sem_t* semaphore) noexcept : semaphore_(semaphore), self_(semaphore) {
        data_of(semaphore).fetch_add(one_waiter, std::memory_order_seq_cst);
    }
    counted_wait(counted_wait const&) = delete;
    counted_wait& operator=(counted_wait const&) = delete;
    ~counted_wait() {
        bool withdrawn = true;
        if (queued_)
            withdrawn = lot_guard(semaphore_).erase(self_);
        if (queued_ && !withdrawn && unfinished_) // cancelled, but told to try: let somebody else
            self_.wait({"sem_wait"}, weft::never);
        data_of(semaphore_).fetch_sub(one_waiter, std::memory_order_seq_cst);
        if (queued_ && !withdrawn && unfinished_)
            wake_one(semaphore_);
    }

    // False if there is no need to wait any more.
    bool enqueue() noexcept {
        lot_guard lot(semaphore_);
        if ((data_of(semaphore_).load(std::memory_order_seq_cst) & value_mask) != 0)
            return false;
        lot.enqueue(self_);
        queued_ = true;
        return true;
    }

    wake_cause wait(weft::time_point deadline, interruption interruptible) {
        unfinished_ = true;
        wake_cause const cause = self_.wait_cancellable({"sem_wait"}, deadline, interruptible);
        unfinished_ = false;
        return cause;
    }

private:
    sem_t* semaphore_;
    lot_waiter self_;
    bool queued_ = false;
    bool unfinished_ = false;
};

int wait_slowly(sem_t* semaphore, lock_time const& limit) {
    for (;;) {
        {
            counted_wait waiting(semaphore);
            while (waiting.enqueue()) {
                weft::time_point const deadline = limit.deadline();
                auto const cause =
                    waiting.wait(deadline, deadline == weft::never ? interruption::unless_restarted
                                                                   : interruption::always);
                if (int const error = weft::detail::ended_by(cause))
                    return fail(error);
                if (cause == wake_cause::timed_out && limit.over())
                    return fail(ETIMEDOUT);
                break;
            }
        }
        if (try_take(semaphore))
            return 0;
        if (limit.over())
            return fail(ETIMEDOUT);
    }
}

// A semaphore of libc's, on a fiber.
int wait_foreign(sem_t* semaphore, lock_time const& limit) noexcept {
    int const error = weft::detail::try_again("sem_wait", limit, interruption::unless_restarted, [semaphore] {
        return libc_trywait(semaphore) == 0 ? 0 : errno == EAGAIN ? EBUSY : errno;
    });
    return error == 0 ? 0 : fail(error);
}

// libc's call for a thread is the last argument.
template <class Libc> int wait(sem_t* semaphore, lock_time const& limit, Libc libc) {
    if (!limit.valid()) // libc looks at it first, even where it need not wait
        return fail(EINVAL);
    if (is_shared(semaphore))
        return on_fiber() ? wait_foreign(semaphore, limit) : libc();
    on_fiber(); // counts
    return try_take(semaphore) ? 0 : wait_slowly(semaphore, limit);
}

} // namespace

extern "C" {

int sem_wait(sem_t* semaphore) {
    return wait(semaphore, {}, [=] { return libc_wait(semaphore); });
}

int sem_timedwait(sem_t* semaphore, timespec const* when) {
    return wait(semaphore, {CLOCK_REALTIME, when}, [=] { return libc_timedwait(semaphore, when); });
}

int sem_clockwait(sem_t* semaphore, clockid_t clock, timespec const* when) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC)
        return fail(EINVAL);
    return wait(semaphore, {clock, when}, [=] { return libc_clockwait(semaphore, clock, when); });
}

// Async-signal-safe, as POSIX demands.
int sem_post(sem_t* semaphore) noexcept {
    if (is_shared(semaphore))
        return libc_post(semaphore);
    auto const data = data_of(semaphore);
    std::uint64_t seen = data.load(std::memory_order_relaxed);
    do {
        if ((seen & value_mask) == SEM_VALUE_MAX)
            return fail(EOVERFLOW);
    } while (!data.compare_exchange_weak(seen, seen + 1, std::memory_order_seq_cst));
    if (seen >= one_waiter && !weft::detail::defer_in_handler(semaphore, wake_one))
        wake_one(semaphore);
    return 0;
}

} // extern "C"
