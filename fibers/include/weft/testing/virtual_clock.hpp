// virtual_clock: time that stands still while fibers run, and jumps to the next deadline when all of them wait.
//
//     weft::testing::virtual_clock clock;
//     weft::run([] { weft::this_fiber::sleep_for(1h); }); // returns at once
//
// While it lives, it is weft::clock, for every worker of the process. It begins at the present time. When no fiber of a run can run, nothing is
// to be read or written, and no call is out on another thread, time jumps to the earliest deadline of any fiber or timer: so what depends
// on time happens in the same order each time, in no time.
//
// What comes from outside the process takes real time. `patience` says how long to wait for it, in real time, before a jump; with none,
// a fiber that waits for another process with a deadline finds it over at once. Between the workers of a run, there is a
// millisecond of it at least, for bytes under way from one to another.
//
// Not virtual: the clocks that the program asks itself (std::chrono's, clock_gettime), timed waits of plain threads, and absolute times given
// to patched calls, which are on those clocks.
//
// Make and destroy it outside weft::run, one at a time: std::logic_error.
#pragma once

#include <chrono>
#include <cstdint>

#include <weft/clock.hpp>

namespace weft::testing {

class virtual_clock {
public:
    explicit virtual_clock(std::chrono::nanoseconds patience = {});
    virtual_clock(virtual_clock const&) = delete;
    virtual_clock& operator=(virtual_clock const&) = delete;
    ~virtual_clock();

    // How far time has jumped, and how often. Any thread.
    [[nodiscard]] clock::duration elapsed() const noexcept;
    [[nodiscard]] std::uint64_t jumps() const noexcept;

private:
    time_point const begin_;
};

} // namespace weft::testing
