// condition_variable: waits until another fiber, or plain thread, says that something has changed. As std::condition_variable_any.
//
// Works with std::unique_lock of weft's mutexes, and with any other lock whose unlock() doesn't wait. notify wakes in FIFO order; there
// are no spurious wake-ups, but others may change things between a notification and the waiter's return: wait with a predicate.
//
// A wait that is cancelled takes the lock again, for which it does wait, and then throws weft::cancelled.
#pragma once

#include <chrono>
#include <condition_variable>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/sync_object.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/detail/waiter.hpp>

namespace weft {

class condition_variable final : public detail::sync_object {
public:
    // `name`: for messages and reports; a string literal.
    explicit condition_variable(char const* name = "") noexcept : sync_object("condition_variable", name) {}

    // Callable with the lock held or without.
    void notify_one() noexcept;
    void notify_all() noexcept;

    // Unlocks, waits for a notification, locks again.
    template <class Lock> void wait(Lock& lock) { static_cast<void>(wait_until(lock, never)); }
    template <class Lock, class Predicate> void wait(Lock& lock, Predicate predicate) {
        while (!predicate())
            wait(lock);
    }

    template <class Lock> std::cv_status wait_until(Lock& lock, time_point deadline) {
        detail::throw_if_cancelled();
        detail::waiter self;
        enqueue(self);
        try {
            lock.unlock();
        } catch (...) {
            give_up(self);
            throw;
        }
        auto const cause = wait_enqueued(self, deadline);
        {
            detail::uncancellable const relocking;
            lock.lock();
        }
        if (cause == detail::wake_cause::cancelled)
            detail::throw_cancelled();
        return cause == detail::wake_cause::notified ? std::cv_status::no_timeout : std::cv_status::timeout;
    }

    // What predicate() says in the end: false means that the deadline came first.
    template <class Lock, class Predicate>
    bool wait_until(Lock& lock, time_point deadline, Predicate predicate) {
        while (!predicate())
            if (wait_until(lock, deadline) == std::cv_status::timeout)
                return predicate();
        return true;
    }

    template <class Lock, class Rep, class Period>
    std::cv_status wait_for(Lock& lock, std::chrono::duration<Rep, Period> duration) {
        return wait_until(lock, deadline_after(duration));
    }
    template <class Lock, class Rep, class Period, class Predicate>
    bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> duration, Predicate predicate) {
        return wait_until(lock, deadline_after(duration), std::move(predicate));
    }

private:
    void enqueue(detail::waiter& self) noexcept;
    void give_up(detail::waiter& self) noexcept;
    detail::wake_cause wait_enqueued(detail::waiter& self, time_point deadline) noexcept;

    detail::biased_lock lock_; // guards waiting_
    detail::wait_list waiting_;
};

} // namespace weft
