#include <pthread.h>

#include <cerrno>

#include <weft/detail/park.hpp>
#include <weft/detail/waiter.hpp>

#include "futex.hpp"

namespace weft::detail {
namespace {

// A plain thread's wait: waiting -> claimed -> woken, or waiting -> gone at its deadline.
constexpr std::uint32_t gone = 0;
constexpr std::uint32_t waiting = 1;
constexpr std::uint32_t claimed = 2;
constexpr std::uint32_t woken = 3;

wake_cause wait_on_thread(std::atomic<std::uint32_t>& word, time_point deadline) noexcept {
    for (;;) {
        std::uint32_t present = word.load(std::memory_order_acquire);
        if (present == woken)
            return wake_cause::notified;
        // Once claimed, it is a matter of moments, whatever the deadline.
        if (futex_wait(word, present, present == waiting ? deadline : never) == -1 && errno == ETIMEDOUT &&
            word.compare_exchange_strong(present, gone, std::memory_order_acq_rel))
            return wake_cause::timed_out;
    }
}

// A cancellation point in which the thread can be cancelled at any instruction: which is why nothing happens in it but the wait.
// AddressSanitizer must not mark its frame, as nobody would take the marks back.
[[gnu::noinline, gnu::no_sanitize("address")]] long
cancellable_futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, time_point deadline) {
    int type = 0;
    // NOLINTNEXTLINE(concurrency-thread-canceltype-asynchronous): for one system call, as libc's own cancellation points do
    ::pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    long const result = futex_wait(word, expected, deadline);
    int const error = errno;
    ::pthread_setcanceltype(type, nullptr);
    errno = error;
    return result;
}

wake_cause wait_on_thread_cancellable(std::atomic<std::uint32_t>& word, time_point deadline,
                                      bool interruptible) {
    for (;;) {
        std::uint32_t present = word.load(std::memory_order_acquire);
        if (present == woken)
            return wake_cause::notified;
        if (present == claimed) { // it will be woken, which a cancellation must not lose
            futex_wait(word, present, never);
            continue;
        }
        if (cancellable_futex_wait(word, present, deadline) == -1 &&
            (errno == ETIMEDOUT || (errno == EINTR && interruptible))) {
            auto const cause = errno == EINTR ? wake_cause::interrupted : wake_cause::timed_out;
            if (word.compare_exchange_strong(present, gone, std::memory_order_acq_rel))
                return cause;
        }
    }
}

} // namespace

wake_cause waiter::wait_cancellable(wait_reason reason, time_point deadline, interruption interruptible,
                                    cancellation cancels) {
    if (fiber != nullptr)
        return park(reason, deadline, interruptible, cancels);
    return wait_on_thread_cancellable(thread_state, deadline, interruptible != interruption::none);
}

bool waiter::take_back(wait_reason reason) noexcept {
    if (!claim()) {
        wait(reason, never);
        return false;
    }
    if (fiber != nullptr)
        fiber->state.store(park_state::running, std::memory_order_relaxed);
    return true;
}

void waiter::begin() noexcept {
    if (fiber != nullptr)
        begin_park(*fiber);
    else
        thread_state.store(waiting, std::memory_order_relaxed);
}

wake_cause waiter::wait(wait_reason reason, time_point deadline, cancellation cancels) noexcept {
    return fiber != nullptr ? park(reason, deadline, interruption::none, cancels)
                            : wait_on_thread(thread_state, deadline);
}

bool waiter::claim() noexcept {
    if (fiber != nullptr)
        return fired = detail::claim(*fiber, wake_cause::notified);
    std::uint32_t expected = waiting;
    return fired = whole->thread_state.compare_exchange_strong(expected, claimed, std::memory_order_acq_rel);
}

void waiter::deliver() noexcept {
    if (fiber != nullptr) {
        detail::deliver(*fiber);
        return;
    }
    std::atomic<std::uint32_t>& word = whole->thread_state;
    word.store(woken, std::memory_order_release);
    // The waiter may return and its memory be reused before this call: a futex is only an address, and a thread
    // that sleeps on it for another reason looks again.
    futex_wake(word);
}

} // namespace weft::detail
