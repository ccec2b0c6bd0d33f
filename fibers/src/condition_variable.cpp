#include <mutex>

#include <weft/condition_variable.hpp>

namespace weft {

void condition_variable::notify_one() noexcept {
    lock_.lock();
    detail::claimed_waiters const first = waiting_.claim(1);
    lock_.unlock();
    first.deliver();
}

void condition_variable::notify_all() noexcept {
    lock_.lock();
    detail::claimed_waiters const all = waiting_.claim_all();
    lock_.unlock();
    all.deliver();
}

// Known to notifiers before the user's lock is free: nothing that happens after that is missed.
void condition_variable::enqueue(detail::waiter& self) noexcept {
    self.begin();
    std::scoped_lock const lock(lock_);
    waiting_.push_back(self);
}

// The user's unlock() threw: a notification that has chosen us is waited for, and lost.
void condition_variable::give_up(detail::waiter& self) noexcept {
    std::unique_lock lock(lock_);
    waiting_.erase(self);
    lock.unlock();
    static_cast<void>(self.take_back({"condition_variable", *this}));
}

detail::wake_cause condition_variable::wait_enqueued(detail::waiter& self, time_point deadline) noexcept {
    auto const cause = self.wait({"condition_variable", *this}, deadline, detail::own_cancellation());
    if (cause != detail::wake_cause::notified) {
        std::scoped_lock const lock(lock_);
        waiting_.erase(self);
    }
    return cause;
}

} // namespace weft
