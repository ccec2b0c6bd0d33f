// idle_engine: waits for the deadline or a notification, and knows no other events. What a worker waits with when netio
// isn't linked.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/engine.hpp>

namespace weft::detail {

class idle_engine final : public engine {
public:
    void poll(time_point deadline) noexcept override;
    void notify() noexcept override;
    void survive_fork() noexcept override {}

private:
    std::atomic<std::uint32_t> notified_{0};
};

} // namespace weft::detail
