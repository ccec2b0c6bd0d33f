#include <weft/channel.hpp>

namespace weft::detail {

void channel_base::close() noexcept {
    std::unique_lock lock(lock_);
    closed_ = true;
    claimed_waiters told;
    // Receivers wait only while nothing is in it.
    for (wait_list* const list : {&senders_, &receivers_, &peekers_})
        while (waiter* const each = list->claim_first()) {
            each->tag = by_closing;
            told.add(*each);
        }
    lock.unlock();
    told.deliver();
}

bool channel_base::is_closed() const noexcept {
    std::scoped_lock const lock(lock_);
    return closed_;
}

std::size_t channel_base::size() const noexcept {
    std::scoped_lock const lock(lock_);
    return count_;
}

void channel_base::task_done() {
    std::unique_lock lock(lock_);
    if (received_ == 0) {
        lock.unlock();
        throw std::logic_error(complain("task_done() called more often than values were received"));
    }
    --received_;
    if (--unfinished_ > 0)
        return;
    claimed_waiters const woken = joiners_.claim_all();
    lock.unlock();
    woken.deliver();
}

bool channel_base::join_until(time_point deadline) {
    throw_if_cancelled();
    std::unique_lock lock(lock_);
    if (unfinished_ == 0)
        return true;
    return own_wait(joiners_, lock, {"channel join", *this}, deadline);
}

} // namespace weft::detail
