// The patched condition variables. Who waits lies in the parking lot; of glibc's pthread_cond_t one word counts them, and the
// one that tells the clock and the sharing is read as pthread_cond_init(3) wrote it.
//
// Left to libc: those that are shared between processes.
#include <pthread.h>
#include <threads.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <limits>

#include <weft/detail/park.hpp>
#include <weft/detail/parking_lot.hpp>

#include "libc_function.hpp"
#include "lock_time.hpp"
#include "mutexes.hpp"
#include "on_fiber.hpp"

using weft::detail::claimed_waiters;
using weft::detail::libc_function;
using weft::detail::lock_time;
using weft::detail::lot_guard;
using weft::detail::lot_waiter;
using weft::detail::wake_cause;

namespace {

constexpr libc_function<"pthread_cond_wait", int(pthread_cond_t*, pthread_mutex_t*)> libc_wait;
constexpr libc_function<"pthread_cond_timedwait", int(pthread_cond_t*, pthread_mutex_t*, timespec const*)>
    libc_timedwait;
constexpr libc_function<"pthread_cond_clockwait",
                        int(pthread_cond_t*, pthread_mutex_t*, clockid_t, timespec const*)>
    libc_clockwait;
constexpr libc_function<"pthread_cond_signal", int(pthread_cond_t*)> libc_signal;
constexpr libc_function<"pthread_cond_broadcast", int(pthread_cond_t*)> libc_broadcast;

constexpr unsigned shared_bit = 1; // of __wrefs, since glibc 2.25
constexpr unsigned monotonic_bit = 2;

bool is_shared(pthread_cond_t const& condition) noexcept {
    return (condition.__data.__wrefs & shared_bit) != 0;
}

clockid_t clock_of(pthread_cond_t const& condition) noexcept {
    return (condition.__data.__wrefs & monotonic_bit) != 0 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

// How many wait; changed under the guard.
std::atomic_ref<unsigned> count_of(pthread_cond_t& condition) noexcept {
    return std::atomic_ref(condition.__data.__g_refs[0]);
}

void wake(pthread_cond_t& condition, std::ptrdiff_t most) noexcept {
    auto const count = count_of(condition);
    // A waiter counts itself before it lets go of the mutex; who changed under that mutex what it waits for, sees it.
    if (count.load(std::memory_order_relaxed) == 0)
        return;
    lot_guard lot(&condition);
    claimed_waiters const woken = lot.take_first(most);
    count.store(lot.first() == nullptr
                    ? 0
                    : count.load(std::memory_order_relaxed) - static_cast<unsigned>(woken.count),
                std::memory_order_relaxed);
    lot.unlock();
    woken.deliver();
}

// One wait. However it ends (also by pthread_cancel(3), which unwinds), the caller is off the list and holds the mutex.
class condition_wait {
public:
    condition_wait(pthread_cond_t& condition, pthread_mutex_t& mutex) noexcept
        : condition_(condition), mutex_(mutex), self_(&condition) {
        lot_guard lot(&condition_);
        lot.enqueue(self_);
        auto const count = count_of(condition_);
        count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    condition_wait(condition_wait const&) = delete;
    condition_wait& operator=(condition_wait const&) = delete;
    ~condition_wait() {
        if (unlocked_)
            cancel();
    }

    // 0, ETIMEDOUT, or what the mutex says.
    int wait(lock_time const& limit) {
        if (int const error = weft::detail::unlock_any_mutex(mutex_)) {
            withdraw_unnoticed();
            return error;
        }
        unlocked_ = true;
        auto const cause = self_.wait_cancellable({"pthread_cond_wait", weft::detail::by_fibers},
                                                  limit.deadline(), weft::detail::interruption::none);
        if (cause == wake_cause::timed_out)
            withdraw();
        unlocked_ = false;
        int const error = weft::detail::lock_any_mutex(mutex_);
        return error != 0 ? error : cause == wake_cause::timed_out && limit.over() ? ETIMEDOUT : 0;
    }

private:
    // False if somebody has already taken us off the list.
    bool withdraw() noexcept {
        lot_guard lot(&condition_);
        if (!lot.erase(self_))
            return false;
        auto const count = count_of(condition_);
        count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
        return true;
    }

    // A signal that has come meanwhile is for somebody else.
    void withdraw_unnoticed() noexcept {
        if (withdraw())
            return;
        self_.wait({"pthread_cond_wait"}, weft::never);
        wake(condition_, 1);
    }

    void cancel() noexcept {
        withdraw_unnoticed();
        weft::detail::lock_any_mutex(mutex_);
    }

    pthread_cond_t& condition_;
    pthread_mutex_t& mutex_;
    lot_waiter self_;
    bool unlocked_ = false;
};

int wait(pthread_cond_t& condition, pthread_mutex_t& mutex, lock_time const& limit) {
    if (!limit.valid())
        return EINVAL;
    weft::detail::on_fiber(); // counts
    condition_wait waiting(condition, mutex);
    return waiting.wait(limit);
}

// Nobody tells a fiber, or the owner of a mutex of ours, of a signal by libc. That a wait may end without one, every caller
// must reckon with; so it ends soon.
int wait_a_little(pthread_mutex_t& mutex, lock_time const& limit) noexcept {
    constexpr auto little = std::chrono::milliseconds(1);
    if (!limit.valid())
        return EINVAL;
    if (int const error = weft::detail::unlock_any_mutex(mutex))
        return error;
    if (weft::detail::on_fiber())
        weft::detail::sleep_until({"pthread_cond_wait"},
                                  std::min(limit.deadline(), weft::deadline_after(little)));
    else
        ::usleep(std::chrono::microseconds(little).count());
    int const error = weft::detail::lock_any_mutex(mutex);
    return error != 0 ? error : limit.over() ? ETIMEDOUT : 0;
}

bool are_libcs(pthread_cond_t const* condition, pthread_mutex_t const* mutex) noexcept {
    return is_shared(*condition) && !weft::detail::is_ours(*mutex) && weft::detail::current_fiber == nullptr;
}

int wait_any(pthread_cond_t& condition, pthread_mutex_t& mutex, lock_time const& limit) {
    return is_shared(condition) ? wait_a_little(mutex, limit) : wait(condition, mutex, limit);
}

// C11's are glibc's pthread condition variables under another name: threads.h.
pthread_cond_t* of_c11(cnd_t* condition) noexcept { return reinterpret_cast<pthread_cond_t*>(condition); }
pthread_mutex_t* of_c11(mtx_t* mutex) noexcept { return reinterpret_cast<pthread_mutex_t*>(mutex); }
int to_c11(int error) noexcept {
    return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : thrd_error;
}

} // namespace

extern "C" {

int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
    if (are_libcs(condition, mutex))
        return libc_wait(condition, mutex);
    return wait_any(*condition, *mutex, {});
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, timespec const* when) {
    if (are_libcs(condition, mutex))
        return libc_timedwait(condition, mutex, when);
    return wait_any(*condition, *mutex, {clock_of(*condition), when});
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                           timespec const* when) {
    if (are_libcs(condition, mutex))
        return libc_clockwait(condition, mutex, clock, when);
    return wait_any(*condition, *mutex, {clock, when});
}

int pthread_cond_signal(pthread_cond_t* condition) noexcept {
    if (is_shared(*condition))
        return libc_signal(condition);
    wake(*condition, 1);
    return 0;
}

int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
    if (is_shared(*condition))
        return libc_broadcast(condition);
    wake(*condition, std::numeric_limits<std::ptrdiff_t>::max());
    return 0;
}

int cnd_wait(cnd_t* condition, mtx_t* mutex) {
    return to_c11(pthread_cond_wait(of_c11(condition), of_c11(mutex)));
}
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, timespec const* when) {
    return to_c11(pthread_cond_timedwait(of_c11(condition), of_c11(mutex), when));
}
int cnd_signal(cnd_t* condition) { return to_c11(pthread_cond_signal(of_c11(condition))); }
int cnd_broadcast(cnd_t* condition) { return to_c11(pthread_cond_broadcast(of_c11(condition))); }

} // extern "C"
