// idle_engine: waits for the deadline or a notification, and knows no other events. What a worker waits with when netio
// isn't linked.
#pragma once

#include <condition_variable>
#include <mutex>

#include <weft/engine.hpp>

namespace weft::detail {

class idle_engine final : public engine {
public:
    void poll(time_point deadline) noexcept override;
    void notify() noexcept override;

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool notified_ = false; // guarded by mutex_
};

} // namespace weft::detail
