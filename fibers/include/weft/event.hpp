// event: a flag that fibers and plain threads wait for. As asyncio.Event and gevent's.
//
// Once set, it stays set, and nobody waits, until clear(). Whoever waited when it was set goes on, though it be cleared right afterwards.
#pragma once

#include <chrono>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/sync_object.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

namespace detail {
struct select_access;
}

class event final : public detail::sync_object {
public:
    // `name`: for messages and reports; a string literal.
    explicit event(char const* name = "") noexcept : sync_object("event", name) {}

    void set() noexcept;
    void clear() noexcept;
    [[nodiscard]] bool is_set() const noexcept;

    // Until it is set. Throws weft::cancelled.
    void wait() { static_cast<void>(wait_until(never)); }

    // False if it was not set by then.
    [[nodiscard]] bool wait_until(time_point deadline);
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> duration) {
        return wait_until(deadline_after(duration));
    }

private:
    friend detail::select_access;

    mutable detail::biased_lock lock_; // guards the rest
    bool set_ = false;
    detail::wait_list waiting_;
};

} // namespace weft
