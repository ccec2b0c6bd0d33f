// primitives: what the runtime's basic steps cost, in ns: a switch, a spawn with its join, a semaphore hand-off, and a
// patched call on a thread that runs no fiber, beside libc's own.
#include <dlfcn.h>
#include <sys/socket.h>

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

using recv_function = ssize_t (*)(int, void*, std::size_t, int);

// A bad descriptor: the kernel refuses at once, and what the layer adds shows most.
template <class Call> void failing_recv(Call call, long count) {
    char byte = 0;
    for (long i = 0; i < count; ++i)
        call(-1, &byte, 1, 0);
}

} // namespace

int main() {
    weft::run([] {
        report("switch between two fibers", 2'000'000, switches);
        report("spawn and join", 500'000, spawns);
        report("semaphore hand-off", 1'000'000, hand_offs);
    });
    auto const libc_recv = reinterpret_cast<recv_function>(::dlsym(RTLD_NEXT, "recv"));
    constexpr long calls = 500'000;
    report("recv off fibers, libc's own", calls, [&](long count) { failing_recv(libc_recv, count); });
    report("recv off fibers, patched", calls, [&](long count) { failing_recv(::recv, count); });
}
