#include <mutex>
#include <stdexcept>

#include <weft/bounded_semaphore.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/semaphore.hpp>

namespace weft {

semaphore::semaphore(char const* kind, std::ptrdiff_t permits, char const* name)
    : sync_object(kind, name), permits_(permits) {
    if (permits < 0)
        throw std::invalid_argument(complain("the number of permits can't be negative"));
}

bool semaphore::try_acquire_until(time_point deadline) {
    detail::throw_if_cancelled();
    std::unique_lock lock(lock_);
    if (permits_ > 0) {
        --permits_;
        ++acquired_;
        return true;
    }
    // A waker that finds us hands over its permit: it never shows in permits_.
    return detail::own_wait(waiting_, lock, {"semaphore", *this}, deadline);
}

void semaphore::acquire() { static_cast<void>(try_acquire_until(never)); }

bool semaphore::try_acquire() noexcept {
    std::scoped_lock const lock(lock_);
    if (permits_ == 0)
        return false;
    --permits_;
    ++acquired_;
    return true;
}

// Under lock_; the result is to be delivered without it.
detail::claimed_waiters semaphore::give(std::ptrdiff_t permits) noexcept {
    detail::claimed_waiters const woken = waiting_.claim(permits);
    permits_ += permits - woken.count;
    acquired_ -= permits - woken.count;
    return woken;
}

void semaphore::release(std::ptrdiff_t permits) {
    if (permits < 0)
        throw std::invalid_argument(complain("can't release a negative number of permits"));
    std::unique_lock lock(lock_);
    if (permits > max - permits_) {
        lock.unlock();
        throw std::overflow_error(complain("released more permits than a semaphore can count"));
    }
    detail::claimed_waiters const woken = give(permits);
    lock.unlock();
    woken.deliver();
}

bool semaphore::release_acquired(std::ptrdiff_t permits) noexcept {
    std::unique_lock lock(lock_);
    if (permits < 0 || permits > acquired_)
        return false;
    detail::claimed_waiters const woken = give(permits);
    lock.unlock();
    woken.deliver();
    return true;
}

std::ptrdiff_t semaphore::available() const noexcept {
    std::scoped_lock const lock(lock_);
    return permits_;
}

void bounded_semaphore::release(std::ptrdiff_t permits) {
    if (!release_acquired(permits))
        throw std::logic_error(complain("released more often than acquired"));
}

} // namespace weft
