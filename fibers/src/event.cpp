#include <mutex>

#include <weft/detail/own_wait.hpp>
#include <weft/event.hpp>

namespace weft {

void event::set() noexcept {
    lock_.lock();
    set_ = true;
    detail::claimed_waiters const all = waiting_.claim_all();
    lock_.unlock();
    all.deliver();
}

void event::clear() noexcept {
    std::scoped_lock const lock(lock_);
    set_ = false;
}

bool event::is_set() const noexcept {
    std::scoped_lock const lock(lock_);
    return set_;
}

bool event::wait_until(time_point deadline) {
    detail::throw_if_cancelled();
    std::unique_lock lock(lock_);
    if (set_)
        return true;
    return detail::own_wait(waiting_, lock, {"event", *this}, deadline);
}

} // namespace weft
