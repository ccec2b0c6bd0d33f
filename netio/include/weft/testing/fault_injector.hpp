// fault_injector: makes the system calls behind a program's I/O fail, stop short and come late, as they rarely do by themselves, so that a
// test meets what its code will meet one day.
//
//     weft::testing::fault_injector faults({.short_reads = 0.3, .short_writes = 0.3, .would_block = 0.2, .delays = 0.1});
//     ... the scenario, on real sockets ...
//     BOOST_TEST(faults.counts().short_reads > 0);
//
// Active as long as it lives, for the patched calls, streams and acceptors of all fibers of the process; there can be one at a time
// (std::logic_error). Threads that run no fibers have no part in it. It may be made and destroyed anywhere, also around weft::run.
//
// Repeatable: what is injected is drawn from `seed` and depends on nothing but that and the order of a worker's calls; each worker draws for
// itself. The order is the same again in a test of one worker whose descriptors are pairs and pipes, and whose waits have no clock: no
// sleeps, no deadlines, longest_delay = 0. Where the network or the clock has a say, the same seed gives the same kind of run.
// The destructor names the seed on stderr if an exception leaves the scope; for other failures there is seed():
//
//     weft: faults were injected with WEFT_TEST_SEED=123
//
// Faithful: nothing is injected that a kernel couldn't do, and no byte, event or wake-up is lost by it.
//   - Short reads and writes: the kernel is asked for fewer bytes. Only of byte streams: never of datagrams or of a pipe's atomic writes,
//     and a peek sees all that is there. A write that got short goes on when the descriptor is writable, as libc's do.
//   - would_block: the kernel says EAGAIN to weft, so the fiber parks, and a few more times after that. epoll is edge-triggered, and the
//     edge that told of the bytes is used up by then; so weft's epoll is told to report once more what is ready, and the fiber is woken
//     like any that waits. The caller sees only time pass. poll, select and epoll_wait find nothing at first, unless they may not wait.
//   - interruptions: EINTR, as from a handler without SA_RESTART that ran while the call waited. weft repeats no call of its own accord after a
//     handler, acceptor::accept() alone goes on: so this is for code that has handlers, and that must repeat its calls. A call that has
//     moved bytes returns their number.
//   - resets: the connection breaks as by a peer's reset, under this call and for good. TCP: both sides learn it; the call says ECONNRESET,
//     later reads the end, later writes EPIPE and SIGPIPE. Unix stream sockets: the peer finds it closed. Others have none.
//   - delays: before the call others run, for a few turns or for up to longest_delay.
// Left alone are files, terminals, and calls on descriptors that the program itself made non-blocking, or with MSG_DONTWAIT: their readiness
// is the program's business, and a program that watches edges would miss one.
#pragma once

#include <chrono>
#include <cstdint>

#include <weft/testing/seed.hpp>

namespace weft::testing {

// Rates are the share of the calls concerned, from 0 to 1. Those of interruptions and would_block must be less than 1, or no call would ever
// succeed.
struct fault_options {
    std::uint32_t seed = testing::seed();
    double short_reads = 0;
    double short_writes = 0;
    double interruptions = 0;
    double would_block = 0;
    double resets = 0;
    double delays = 0;
    std::chrono::microseconds longest_delay{50}; // 0: others have a few turns, and no time passes by itself
};

// What was injected, counted where it made a difference.
struct fault_counts {
    std::uint64_t calls = 0; // in which there could have been a fault
    std::uint64_t short_reads = 0;
    std::uint64_t short_writes = 0;
    std::uint64_t interruptions = 0;
    std::uint64_t would_block = 0;
    std::uint64_t resets = 0;
    std::uint64_t delays = 0;

    [[nodiscard]] std::uint64_t faults() const noexcept {
        return short_reads + short_writes + interruptions + would_block + resets + delays;
    }
    friend bool operator==(fault_counts const&, fault_counts const&) = default;
};

class fault_injector {
public:
    // Throws std::invalid_argument for a rate out of range, std::logic_error if there is an injector already.
    explicit fault_injector(fault_options const& options);
    fault_injector(fault_injector const&) = delete;
    fault_injector& operator=(fault_injector const&) = delete;
    ~fault_injector();

    [[nodiscard]] std::uint32_t seed() const noexcept { return seed_; }

    // So far; any thread.
    [[nodiscard]] fault_counts counts() const noexcept;

private:
    std::uint32_t seed_;
    int exceptions_; // in flight when it was made
};

} // namespace weft::testing
