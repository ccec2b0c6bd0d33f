#include <mutex>
#include <stdexcept>

#include <weft/detail/own_wait.hpp>
#include <weft/latch.hpp>

namespace weft {

latch::latch(std::ptrdiff_t count, char const* name) : sync_object("latch", name), count_(count) {
    if (count < 0)
        throw std::invalid_argument(complain("can't begin at less than zero"));
}

void latch::count_down(std::ptrdiff_t by) {
    std::unique_lock lock(lock_);
    if (by < 0 || by > count_) {
        lock.unlock();
        throw std::logic_error(complain("counted down by more than is left, or by less than nothing"));
    }
    count_ -= by;
    if (count_ > 0)
        return;
    detail::claimed_waiters const all = waiting_.claim_all();
    lock.unlock();
    all.deliver();
}

bool latch::try_wait() const noexcept {
    std::scoped_lock const lock(lock_);
    return count_ == 0;
}

bool latch::wait_until(time_point deadline) {
    detail::throw_if_cancelled();
    std::unique_lock lock(lock_);
    if (count_ == 0)
        return true;
    return detail::own_wait(waiting_, lock, {"latch", *this}, deadline);
}

} // namespace weft
