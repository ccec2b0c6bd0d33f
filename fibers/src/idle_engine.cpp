#include "idle_engine.hpp"

namespace weft::detail {

void idle_engine::poll(time_point deadline) noexcept {
    std::unique_lock lock(mutex_);
    auto const notified = [this] { return notified_; };
    if (deadline == never)
        changed_.wait(lock, notified);
    else
        changed_.wait_until(lock, deadline, notified);
    notified_ = false;
}

void idle_engine::notify() noexcept {
    std::scoped_lock const lock(mutex_);
    notified_ = true;
    changed_.notify_one();
}

} // namespace weft::detail
