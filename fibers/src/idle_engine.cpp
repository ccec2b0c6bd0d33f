#include "idle_engine.hpp"

#include "futex.hpp"

namespace weft::detail {

void idle_engine::poll(time_point deadline) noexcept {
    if (notified_.exchange(0, std::memory_order_acquire) == 0 && deadline > clock::now())
        futex_wait(notified_, 0, deadline);
}

void idle_engine::notify() noexcept {
    notified_.store(1, std::memory_order_release);
    futex_wake(notified_);
}

} // namespace weft::detail
