#include "virtual_time.hpp"

#include <stdexcept>

#include <weft/testing/virtual_clock.hpp>

#include "worker.hpp"

namespace weft {

namespace detail {

std::atomic<std::chrono::steady_clock::rep> virtual_time{0};
std::chrono::nanoseconds virtual_patience{};

namespace {

std::atomic<std::uint64_t> jump_count{0};

} // namespace

void jump_to(time_point when) noexcept {
    auto const time = when.time_since_epoch().count();
    if (time <= virtual_time.load(std::memory_order_relaxed))
        return;
    virtual_time.store(time, std::memory_order_relaxed);
    jump_count.fetch_add(1, std::memory_order_relaxed);
}

} // namespace detail

namespace testing {

virtual_clock::virtual_clock(std::chrono::nanoseconds patience) : begin_(std::chrono::steady_clock::now()) {
    if (detail::this_worker != nullptr)
        throw std::logic_error("weft::testing::virtual_clock: made on a fiber; make it before weft::run");
    std::chrono::steady_clock::rep none = 0;
    if (!detail::virtual_time.compare_exchange_strong(none, begin_.time_since_epoch().count()))
        throw std::logic_error("weft::testing::virtual_clock: there is one already");
    detail::virtual_patience = patience;
    detail::jump_count = 0;
}

virtual_clock::~virtual_clock() { detail::virtual_time = 0; }

clock::duration virtual_clock::elapsed() const noexcept { return clock::now() - begin_; }
std::uint64_t virtual_clock::jumps() const noexcept { return detail::jump_count; }

} // namespace testing

} // namespace weft
