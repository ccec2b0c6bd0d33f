// this_fiber: what a fiber may do with itself.
//
// yield and the sleeps work on plain threads too, where they do what std::this_thread's do; so code under them needs
// not know where it runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string_view>

#include <weft/clock.hpp>
#include <weft/source_location.hpp>

namespace weft::this_fiber {

// Lets the other ready fibers of this worker run.
void yield() noexcept;

// Other fibers run until `deadline` has passed. Precision: the kernel's timers, some 50 us. Throws weft::cancelled.
void sleep_until(time_point deadline);

template <class Rep, class Period> void sleep_for(std::chrono::duration<Rep, Period> duration) {
    sleep_until(deadline_after(duration));
}

// The running fiber's number, unique in the process; 0 on a thread that is no worker.
[[nodiscard]] std::uint64_t id() noexcept;

// The running fiber's name, valid until it ends or is renamed. In an offloaded call, the name of the fiber that waits for it; else empty on a
// thread that is no worker.
[[nodiscard]] std::string_view name() noexcept;

// Renames the running fiber; cut to 31 bytes. Nothing happens on a thread that is no worker.
void set_name(std::string_view name) noexcept;

// The earliest deadline of the cancel scopes around the caller; in an offloaded call, of those around the fiber that waits for it.
// never: none.
[[nodiscard]] time_point deadline() noexcept;

// Says whether somebody has asked the running fiber to stop: fiber::request_stop(), or its handle's destructor. Works with std::stop_callback.
// In an offloaded call: whether the fiber that waits for it was cancelled. Else, on a thread that is no worker: a token for which nobody ever
// will.
[[nodiscard]] std::stop_token get_stop_token();
[[nodiscard]] inline bool stop_requested() { return get_stop_token().stop_requested(); }

} // namespace weft::this_fiber

namespace weft::detail {

struct no_switch_region {
    no_switch_region const* outer;
    source_location place;
};

} // namespace weft::detail

namespace weft::this_fiber {

// Asserts that no other fiber of this worker runs while it lives: for code that relies on that, as between two steps that must be seen
// together.
//
//     weft::this_fiber::no_switch const together;
//     accounts[from] -= amount;
//     accounts[to] += amount;
//
// A call that would wait, or yields, in there ends the program, and says which call, which fiber, and where the region began. Nests. On a
// thread that is no worker it does nothing.
class [[nodiscard]] no_switch {
public:
    explicit no_switch(source_location place = source_location::current()) noexcept;
    no_switch(no_switch const&) = delete;
    no_switch& operator=(no_switch const&) = delete;
    ~no_switch();

private:
    detail::no_switch_region region_;
};

} // namespace weft::this_fiber
