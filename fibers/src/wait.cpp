#include <deque>
#include <mutex>
#include <stdexcept>

#include <weft/detail/own_wait.hpp>
#include <weft/detail/waiter.hpp>
#include <weft/gather.hpp>
#include <weft/wait.hpp>

namespace weft::detail {

struct handle_access {
    static fiber_core& core(fiber_handle const& handle) { return handle.require("wait_any"); }
};

namespace {

// The caller among the joiners of several fibers.
class joint_wait {
public:
    explicit joint_wait(std::span<handle_reference const> handles) {
        for (fiber_handle const& each : handles)
            fibers_.push_back(&handle_access::core(each));
        places_.resize(fibers_.size());
    }
    joint_wait(joint_wait const&) = delete;
    joint_wait& operator=(joint_wait const&) = delete;
    ~joint_wait() = default;

    std::optional<std::size_t> wait(time_point deadline, cancellation cancels) {
        constexpr wait_reason reason{.operation = "wait_any", .by_fibers = true};
        waiter& whole = places_.front();
        whole.begin();
        auto const ended = enqueue(whole);
        if (ended) {
            withdraw();
            static_cast<void>(whole.take_back(reason));
            return ended;
        }
        wake_cause const cause = whole.wait(reason, deadline, cancels);
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
    auto const cancels = begin_own_wait();
    return joint_wait(handles).wait(deadline, cancels);
}

void cancel_others(std::span<handle_reference const> handles, std::size_t but, char const* reason) {
    for (std::size_t i = 0; i < handles.size(); ++i)
        if (i != but && !handles[i].get().done())
            handles[i].get().cancel(reason);
}

void wait_for_success(std::vector<handle_reference> handles) {
    auto const all = handles;
    while (!handles.empty()) {
        std::size_t const place = *wait_any(handles, never);
        fiber_core const& ended = handle_access::core(handles[place]);
        if (ended.end != fiber_end::returned) {
            cancel_others(all, all.size(), "another one that was gathered with it has failed");
            std::rethrow_exception(std::exchange(ended.task->failure, nullptr));
        }
        handles.erase(handles.begin() + static_cast<std::ptrdiff_t>(place));
    }
}

} // namespace weft::detail
