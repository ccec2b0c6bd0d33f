// primitives: what the runtime's basic steps cost, in ns: a switch, a spawn with its join, a semaphore hand-off.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <vector>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

namespace {

constexpr int rounds = 7;

// Median, least and most of `rounds` measurements of `body`, which does `count` steps.
template <class Body> void report(char const* name, long count, Body body) {
    std::array<double, rounds> results{};
    for (double& result : results) {
        auto const start = std::chrono::steady_clock::now();
        body(count);
        std::chrono::duration<double, std::nano> const time = std::chrono::steady_clock::now() - start;
        result = time.count() / static_cast<double>(count);
    }
    std::sort(results.begin(), results.end());
    std::printf("%-44s %7.1f ns [%.1f..%.1f]\n", name, results[rounds / 2], results.front(), results.back());
}

void switches(long count) {
    auto const body = [count] {
        for (long i = 0; i < count / 2; ++i)
            weft::this_fiber::yield();
    };
    auto one = weft::spawn(body);
    auto two = weft::spawn(body);
}

void spawns(long count) {
    for (long i = 0; i < count; ++i)
        weft::spawn([] {}).join();
}

void hand_offs(long count) {
    weft::semaphore there(0);
    weft::semaphore back(0);
    auto other = weft::spawn([&] {
        for (long i = 0; i < count / 2; ++i) {
            there.acquire();
            back.release();
        }
    });
    for (long i = 0; i < count / 2; ++i) {
        there.release();
        back.acquire();
    }
}

} // namespace

int main() {
    weft::run([] {
        report("switch between two fibers", 2'000'000, switches);
        report("spawn and join", 500'000, spawns);
        report("semaphore hand-off", 1'000'000, hand_offs);
    });
}
