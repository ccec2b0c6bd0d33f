#include <deque>
#include <mutex>
#include <stdexcept>

#include <weft/detail/own_wait.hpp>
#include <weft/detail/waiter.hpp>
#include <weft/wait.hpp>

#include "handle_access.hpp"

namespace weft::detail {

namespace {

// The caller among the joiners of several fibers.
class joint_wait {
public:
    explicit joint_wait(std::span<handle_reference const> handles) {
        for (fiber_handle const& each : handles)
            fibers_.push_back(&handle_access::core(each, "wait_any"));
        places_.resize(fibers_.size());
    }
    joint_wait(joint_wait const&) = delete;
    joint_wait& operator=(joint_wait const&) = delete;
    ~joint_wait() = default;

    std::optional<std::size_t> wait(time_point deadline) {
        constexpr wait_reason reason{"wait_any", by_fibers};
        waiter& whole = places_.front();
        whole.begin();
        auto const ended = enqueue(whole);
        if (ended) {
            withdraw();
            static_cast<void>(whole.take_back(reason));
            return ended;
        }
        wake_cause const cause = whole.wait(reason, deadline, own_cancellation());
        withdraw();
        if (cause == wake_cause::cancelled)
            throw_cancelled();
        for (std::size_t i = 0; i < places_.size(); ++i)
            if (cause == wake_cause::notified && places_[i].fired)
                return i;
        return std::nullopt;
    }

private:
    // Stops at the first that has ended.
    std::optional<std::size_t> enqueue(waiter& whole) noexcept {
        for (std::size_t i = 0; i < fibers_.size(); ++i) {
            std::scoped_lock const lock(fibers_[i]->lock);
            if (fibers_[i]->done)
                return i;
            places_[i].whole = &whole;
            fibers_[i]->joiners.push_back(places_[i]);
        }
        return std::nullopt;
    }

    void withdraw() noexcept {
        for (std::size_t i = 0; i < fibers_.size(); ++i) {
            std::scoped_lock const lock(fibers_[i]->lock);
            fibers_[i]->joiners.erase(places_[i]);
        }
    }

    std::vector<fiber_core*> fibers_;
    std::deque<waiter> places_; // they don't move
};

} // namespace

std::optional<std::size_t> wait_any(std::span<handle_reference const> handles, time_point deadline) {
    if (handles.empty())
        throw std::invalid_argument("weft::wait_any: there is no fiber to wait for");
    throw_if_cancelled();
    return joint_wait(handles).wait(deadline);
}

} // namespace weft::detail
