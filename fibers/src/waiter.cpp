#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include <weft/detail/park.hpp>
#include <weft/detail/waiter.hpp>

namespace weft::detail {
namespace {

constexpr auto waiting = static_cast<std::uint32_t>(park_state::parked);
constexpr auto woken = static_cast<std::uint32_t>(park_state::woken);
constexpr auto gone = static_cast<std::uint32_t>(park_state::running);

timespec to_timespec(time_point point) noexcept {
    auto const since = point.time_since_epoch();
    auto const seconds = std::chrono::floor<std::chrono::seconds>(since);
    return {.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(since - seconds).count()};
}

// A plain thread's sleep. steady_clock is CLOCK_MONOTONIC, which FUTEX_WAIT_BITSET takes as an absolute time.
wake_cause wait_on_thread(std::atomic<std::uint32_t>& word, time_point deadline) noexcept {
    while (word.load(std::memory_order_acquire) == waiting) {
        timespec const limit = deadline == never ? timespec{} : to_timespec(deadline);
        long const result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, waiting,
                                      deadline == never ? nullptr : &limit, nullptr, FUTEX_BITSET_MATCH_ANY);
        if (result == -1 && errno == ETIMEDOUT) {
            std::uint32_t expected = waiting;
            if (word.compare_exchange_strong(expected, gone, std::memory_order_acq_rel))
                return wake_cause::timed_out;
        }
    }
    return wake_cause::notified;
}

} // namespace

void waiter::begin() noexcept {
    if (fiber != nullptr)
        begin_park(*fiber);
    else
        thread_state.store(waiting, std::memory_order_relaxed);
}

wake_cause waiter::wait(wait_reason reason, time_point deadline) noexcept {
    return fiber != nullptr ? park(reason, deadline) : wait_on_thread(thread_state, deadline);
}

bool waiter::wake() noexcept {
    if (fiber != nullptr)
        return detail::wake(*fiber, wake_cause::notified);
    std::uint32_t expected = waiting;
    if (!thread_state.compare_exchange_strong(expected, woken, std::memory_order_acq_rel))
        return false;
    // The waiter may return and its memory be reused before this call: a futex is only an address, and a thread that
    // sleeps on it for another reason looks again.
    ::syscall(SYS_futex, &thread_state, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
    return true;
}

void wait_list::push_back(waiter& w) noexcept {
    w.previous = tail_;
    w.next = nullptr;
    (tail_ != nullptr ? tail_->next : head_) = &w;
    tail_ = &w;
    w.linked = true;
}

void wait_list::unlink(waiter& w) noexcept {
    (w.previous != nullptr ? w.previous->next : head_) = w.next;
    (w.next != nullptr ? w.next->previous : tail_) = w.previous;
    w.linked = false;
}

void wait_list::erase(waiter& w) noexcept {
    if (w.linked)
        unlink(w);
}

bool wait_list::wake_one() noexcept {
    while (waiter* const first = head_) {
        unlink(*first);
        if (first->wake())
            return true;
    }
    return false;
}

void wait_list::wake_all() noexcept {
    while (wake_one()) {
    }
}

bool wait_list::wait(std::unique_lock<spinlock>& lock, wait_reason reason, time_point deadline) noexcept {
    waiter self;
    self.begin();
    push_back(self);
    lock.unlock();
    if (self.wait(reason, deadline) != wake_cause::timed_out)
        return true;
    lock.lock();
    erase(self);
    lock.unlock();
    return false;
}

} // namespace weft::detail
