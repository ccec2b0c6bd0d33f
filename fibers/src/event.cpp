#include <limits>
#include <mutex>

#include <weft/detail/own_wait.hpp>
#include <weft/event.hpp>

namespace weft {

void event::set() noexcept {
    lock_.lock();
    set_ = true;
    detail::claimed_waiters const all = waiting_.claim(std::numeric_limits<std::ptrdiff_t>::max());
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
    auto const cancels = detail::begin_own_wait();
    std::unique_lock lock(lock_);
    if (set_)
        return true;
    auto const cause = waiting_.wait(lock, {.operation = "event", .object = this}, deadline, cancels);
    if (cause == detail::wake_cause::cancelled)
        detail::throw_cancelled();
    return cause == detail::wake_cause::notified;
}

} // namespace weft
