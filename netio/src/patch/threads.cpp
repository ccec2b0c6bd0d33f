// The patched calls in which threads wait for each other: joining, barriers, and initialization that happens once.
//
// Left to libc: barriers that are shared between processes; a thread of weft's own waits at them for a fiber.
#include <pthread.h>
#include <threads.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <mutex>

#include <weft/detail/offload.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/parking_lot.hpp>

#include "libc_function.hpp"
#include "lock_time.hpp"
#include "on_fiber.hpp"
#include "try_again.hpp"

using weft::detail::claimed_waiters;
using weft::detail::libc_function;
using weft::detail::lock_time;
using weft::detail::lot_guard;
using weft::detail::lot_waiter;
using weft::detail::on_fiber;

namespace {

constexpr libc_function<"pthread_join", int(pthread_t, void**)> libc_join;
constexpr libc_function<"pthread_tryjoin_np", int(pthread_t, void**)> libc_tryjoin;
constexpr libc_function<"pthread_clockjoin_np", int(pthread_t, void**, clockid_t, timespec const*)>
    libc_clockjoin;
constexpr libc_function<"pthread_timedjoin_np", int(pthread_t, void**, timespec const*)> libc_timedjoin;
constexpr libc_function<"thrd_join", int(thrd_t, int*)> libc_thrd_join;
constexpr libc_function<"pthread_barrier_wait", int(pthread_barrier_t*)> libc_barrier_wait;

// -- joining --

// The end of a thread tells nobody but who joins it.
int join_on_fiber(pthread_t thread, void** result) noexcept {
    if (::pthread_equal(thread, ::pthread_self()) != 0)
        return EDEADLK;
    int const at_once = libc_tryjoin(thread, result);
    if (at_once != EBUSY)
        return at_once;
    return weft::detail::offload_alone("pthread_join", [=] { return libc_join(thread, result); });
}

// With a limit, a join that is given up must not have happened.
int join_until(pthread_t thread, void** result, lock_time const& limit) noexcept {
    if (::pthread_equal(thread, ::pthread_self()) != 0)
        return EDEADLK;
    // Not by pthread_tryjoin_np(3), which doesn't see that a thread is detached.
    constexpr timespec over{};
    return weft::detail::try_again("pthread_join", limit, weft::detail::interruption::none, [=] {
        int const error = libc_timedjoin(thread, result, &over);
        return error == ETIMEDOUT ? EBUSY : error;
    });
}

// -- barriers --

// What glibc has in a pthread_barrier_t.
struct barrier_words {
    unsigned arrived;
    unsigned round;
    unsigned count;
    int shared;
    unsigned left;
};
static_assert(sizeof(barrier_words) <= sizeof(pthread_barrier_t));

// Everything happens under the guard, and nothing of the barrier is touched by those that are woken: they may end it.
int wait_at(pthread_barrier_t* barrier) noexcept {
    auto& words = *reinterpret_cast<barrier_words*>(barrier);
    lot_guard lot(barrier);
    if (++words.arrived < words.count) {
        lot_waiter self(barrier);
        lot.enqueue(self);
        lot.unlock();
        self.wait({"pthread_barrier_wait", weft::detail::by_fibers}, weft::never);
        return 0;
    }
    words.arrived = 0;
    claimed_waiters const woken = lot.take_first(std::numeric_limits<std::ptrdiff_t>::max());
    lot.unlock();
    woken.deliver();
    return PTHREAD_BARRIER_SERIAL_THREAD;
}

// -- once --

// The values of glibc's pthread_once_t: 0 new, `done`, or `running` with the number of forks before it, so that a child knows
// that who ran it is not there.
constexpr unsigned running = 1;
constexpr unsigned done = 2;
constexpr unsigned fork_step = 4;

std::atomic<unsigned> forks{0};

[[gnu::constructor]] void count_forks() {
    ::pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(fork_step, std::memory_order_relaxed); });
}

void finish_once(std::atomic_ref<unsigned> word, void const* address, unsigned value) noexcept {
    word.store(value, std::memory_order_release);
    lot_guard lot(address);
    claimed_waiters const woken = lot.take_first(std::numeric_limits<std::ptrdiff_t>::max());
    lot.unlock();
    woken.deliver();
}

// If the function is left by an exception or by pthread_cancel(3), it was not done.
class once_attempt {
public:
    once_attempt(std::atomic_ref<unsigned> word, void const* address) noexcept
        : word_(word), address_(address) {}
    once_attempt(once_attempt const&) = delete;
    once_attempt& operator=(once_attempt const&) = delete;
    ~once_attempt() { finish_once(word_, address_, result_); }
    void succeed() noexcept { result_ = done; }

private:
    std::atomic_ref<unsigned> word_;
    void const* address_;
    unsigned result_ = 0;
};

// std::call_once passes what is to be called through two variables of the thread. Fibers of one thread that wait here would find
// each other's.
class call_once_arguments {
public:
    void restore() const noexcept {
        std::__once_callable = callable_;
        std::__once_call = call_;
    }

private:
    void* callable_ = std::__once_callable;
    void (*call_)() = std::__once_call;
};

int run_once(int* control, void (*function)()) {
    std::atomic_ref<unsigned> const word(*reinterpret_cast<unsigned*>(control));
    if ((word.load(std::memory_order_acquire) & done) != 0)
        return 0;
    call_once_arguments const arguments;
    for (;;) {
        unsigned seen = word.load(std::memory_order_acquire);
        if ((seen & done) != 0)
            return 0;
        unsigned const mine = running | forks.load(std::memory_order_relaxed);
        if (seen != mine) { // new, or begun in a parent
            if (!word.compare_exchange_strong(seen, mine, std::memory_order_acq_rel))
                continue;
            once_attempt attempt(word, control);
            function();
            attempt.succeed();
            return 0;
        }
        weft::detail::wait_in_lot(control, word, mine, {"pthread_once", weft::detail::by_fibers});
        arguments.restore();
    }
}

// -- the initialization of a function's static variables --

// The C++ ABI's guard: its first byte says that the variable is there, which compilers look at; the second is ours.
constexpr unsigned initialized = 1U;
constexpr unsigned initializing = 1U << 8;

std::atomic_ref<unsigned> guard_word(std::uint64_t* guard) noexcept {
    return std::atomic_ref(*reinterpret_cast<unsigned*>(guard));
}

// 1: the caller is to initialize it.
int acquire_guard(std::uint64_t* guard) noexcept {
    auto const word = guard_word(guard);
    for (;;) {
        unsigned seen = 0;
        if (word.compare_exchange_strong(seen, initializing, std::memory_order_acq_rel))
            return 1;
        if ((seen & initialized) != 0)
            return 0;
        weft::detail::wait_in_lot(guard, word, initializing,
                                  {"static initialization", weft::detail::by_fibers});
    }
}

} // namespace

extern "C" {

int __cxa_guard_acquire(std::uint64_t* guard) noexcept {
    if ((guard_word(guard).load(std::memory_order_acquire) & initialized) != 0)
        return 0;
    return acquire_guard(guard);
}
void __cxa_guard_release(std::uint64_t* guard) noexcept {
    finish_once(guard_word(guard), guard, initialized);
}
void __cxa_guard_abort(std::uint64_t* guard) noexcept { finish_once(guard_word(guard), guard, 0); }

int pthread_join(pthread_t thread, void** result) {
    return on_fiber() ? join_on_fiber(thread, result) : libc_join(thread, result);
}

int pthread_timedjoin_np(pthread_t thread, void** result, timespec const* when) {
    return on_fiber() ? join_until(thread, result, {CLOCK_REALTIME, when})
                      : libc_timedjoin(thread, result, when);
}

int pthread_clockjoin_np(pthread_t thread, void** result, clockid_t clock, timespec const* when) {
    return on_fiber() ? join_until(thread, result, {clock, when})
                      : libc_clockjoin(thread, result, clock, when);
}

int thrd_join(thrd_t thread, int* result) {
    if (!on_fiber())
        return libc_thrd_join(thread, result);
    void* value = nullptr;
    if (join_on_fiber(thread, &value) != 0)
        return thrd_error;
    if (result != nullptr)
        *result = static_cast<int>(reinterpret_cast<std::intptr_t>(value));
    return thrd_success;
}

int pthread_barrier_wait(pthread_barrier_t* barrier) noexcept {
    if (reinterpret_cast<barrier_words*>(barrier)->shared == 0)
        return wait_at(barrier);
    // Whoever waits must be one of the threads that libc counts.
    auto const call = [=] { return libc_barrier_wait(barrier); };
    return on_fiber() ? weft::detail::offload_alone("pthread_barrier_wait", call) : call();
}

int pthread_once(pthread_once_t* control, void (*function)()) { return run_once(control, function); }
int __pthread_once(pthread_once_t* control, void (*function)()) { return run_once(control, function); }
void call_once(once_flag* flag, void (*function)()) { run_once(&flag->__data, function); }

int thrd_sleep(timespec const* time, timespec* left) {
    int const result = ::clock_nanosleep(CLOCK_REALTIME, 0, time, left);
    return result == 0 ? 0 : result == EINTR ? -1 : -2;
}
void thrd_yield() { ::sched_yield(); }

} // extern "C"
