#include <algorithm>
#include <mutex>
#include <stdexcept>

#include <weft/detail/lock_owner.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/waiter.hpp>
#include <weft/limiter.hpp>

namespace weft {

limiter::limiter(std::size_t total, char const* name) : sync_object("limiter", name), total_(total) {
    holders_.reserve(total);
}

// Under lock_: one more holder, if there is a token.
bool limiter::admit(int who) noexcept {
    if (holders_.size() >= total_)
        return false;
    holders_.push_back(who);
    return true;
}

// Under lock_; the result is to be delivered without it.
detail::claimed_waiters limiter::hand_on() noexcept {
    detail::claimed_waiters woken;
    while (holders_.size() < total_) {
        detail::waiter* const next = waiting_.claim_first();
        if (next == nullptr)
            break;
        static_cast<void>(admit(next->tag));
        woken.add(*next);
    }
    return woken;
}

// Under lock_, which is released if it throws.
void limiter::refuse_second(int who) const {
    if (std::find(holders_.begin(), holders_.end(), who) == holders_.end())
        return;
    lock_.unlock();
    throw std::logic_error(complain("acquired again by ") + detail::describe_owner(who) + ", which holds it");
}

bool limiter::try_acquire() {
    int const self = detail::lock_owner();
    lock_.lock();
    refuse_second(self);
    bool const got = waiting_.empty() && admit(self);
    lock_.unlock();
    return got;
}

bool limiter::try_acquire_until(time_point deadline) {
    detail::throw_if_cancelled();
    int const self = detail::lock_owner();
    lock_.lock();
    refuse_second(self);
    std::unique_lock lock(lock_, std::adopt_lock);
    if (waiting_.empty() && admit(self))
        return true;
    detail::waiter waiter;
    waiter.tag = self;
    return detail::own_wait(waiting_, waiter, lock, {"limiter", *this}, deadline);
}

void limiter::release() {
    int const self = detail::lock_owner();
    std::unique_lock lock(lock_);
    auto const mine = std::find(holders_.begin(), holders_.end(), self);
    if (mine == holders_.end()) {
        lock.unlock();
        throw std::logic_error(complain("released by ") + detail::describe_owner(self) +
                               ", which doesn't hold it");
    }
    *mine = holders_.back();
    holders_.pop_back();
    detail::claimed_waiters const woken = hand_on();
    lock.unlock();
    woken.deliver();
}

void limiter::set_total(std::size_t total) {
    std::vector<int> holders; // with more room, which isn't to be asked for under the lock
    holders.reserve(total);
    std::unique_lock lock(lock_);
    if (total > holders_.capacity()) { // so that there is room for them all in the other one
        holders.insert(holders.end(), holders_.begin(), holders_.end());
        holders_.swap(holders);
    }
    total_ = total;
    detail::claimed_waiters const woken = hand_on();
    lock.unlock();
    woken.deliver();
}

std::size_t limiter::total() const noexcept {
    std::scoped_lock const lock(lock_);
    return total_;
}

std::size_t limiter::borrowed() const noexcept {
    std::scoped_lock const lock(lock_);
    return holders_.size();
}

} // namespace weft
