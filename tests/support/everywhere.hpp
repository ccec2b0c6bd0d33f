// The same work on fibers of several workers and on plain threads at once, in real time.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <weft/cancel_scope.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/this_fiber.hpp>

#include "support/memory.hpp"
#include "support/options.hpp"

namespace support {

inline constexpr std::size_t workers_everywhere = 3;
inline constexpr unsigned threads_everywhere = 2;

// Calls body(draw) on `fibers` fibers of each worker and on plain threads, and returns when all have. Throws the first exception that left
// one of them, after it has printed the seed.
template <class Body> void everywhere(unsigned fibers, Body&& body) {
    std::uint32_t const seed = weft::testing::seed();
    std::mutex guard;
    std::exception_ptr failure;
    auto const guarded = [&](std::uint64_t own_seed) {
        try {
            weft::testing::random draw(own_seed);
            body(draw);
        } catch (...) {
            std::scoped_lock const lock(guard);
            if (!failure)
                failure = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < threads_everywhere; ++i)
        threads.emplace_back([&guarded, seed, i] { guarded(seed + i); });
    weft::run(
        [&] {
            for (unsigned i = 0; i < fibers * workers_everywhere; ++i)
                weft::post(i % workers_everywhere,
                           [&guarded, seed, i] { guarded(seed + threads_everywhere + i); });
        },
        with_workers(workers_everywhere));
    for (std::thread& each : threads)
        each.join();
    if (failure) {
        std::fprintf(stderr, "WEFT_TEST_SEED=%u\n", seed);
        std::rethrow_exception(failure);
    }
}

// Calls function(), in a scope that ends soon, if that is drawn, and there can be one. True if it returned.
template <class Function> bool maybe_cancelled(weft::testing::random& draw, Function&& function) {
    if (weft::this_fiber::id() == 0 || draw.below(4) != 0) {
        function();
        return true;
    }
    return weft::move_on_after(std::chrono::microseconds(draw.below(60)), function);
}

// How often a thread does something everywhere.
inline constexpr unsigned rounds_everywhere = sanitized ? 2'000 : 15'000;

} // namespace support
