#include <mutex>
#include <system_error>

#include <weft/detail/misuse.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/waiter.hpp>
#include <weft/mutex.hpp>

namespace weft {

mutex::~mutex() {
    if (owner_ != 0)
        detail::fail_misuse(
            (complain("destroyed while ") + detail::describe_owner(owner_) + " holds it").c_str());
}

bool mutex::owned() const noexcept {
    std::scoped_lock const lock(lock_);
    return owner_ == detail::lock_owner();
}

bool mutex::lock_slowly(int self, time_point deadline) {
    std::unique_lock lock(lock_, std::adopt_lock);
    if (owner_ == self) {
        lock.unlock();
        throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                                complain("locked again by its owner, ") + detail::describe_owner(self));
    }
    // Who unlocks makes us the owner.
    detail::waiter waiter;
    waiter.tag = self;
    return detail::own_wait(waiting_, waiter, lock, {"mutex", *this}, deadline);
}

bool mutex::try_lock_until(time_point deadline) {
    int const self = detail::lock_owner();
    lock_.lock();
    if (owner_ != 0)
        return lock_slowly(self, deadline);
    owner_ = self;
    lock_.unlock();
    return true;
}

void mutex::unlock_slowly(int self) {
    if (owner_ != self) {
        int const owner = owner_;
        lock_.unlock();
        std::string const who = detail::describe_owner(self);
        throw std::system_error(std::make_error_code(std::errc::operation_not_permitted),
                                owner == 0 ? complain("unlocked by ") + who + ", but nobody holds it"
                                           : complain("unlocked by ") + who + ", but " +
                                                 detail::describe_owner(owner) + " holds it");
    }
    detail::waiter* const next = waiting_.claim_first();
    owner_ = next != nullptr ? next->tag : 0;
    lock_.unlock();
    if (next != nullptr)
        next->deliver();
}

} // namespace weft
