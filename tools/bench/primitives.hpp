// What the C++ programs of tools/bench/primitives have in common: their command line, their clocks, and the deadlines
// of their timers. primitives.go does the same for Go.
//
//     PROGRAM about         one line of JSON: what it is, and the steps that it has
//     PROGRAM STEP COUNT    that step COUNT times to warm up, then COUNT times measured: one line of JSON
//
// A step whose work turns out not to have been done ends the program with status 1.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <semaphore>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

namespace primitives {

// Measures what lies between start() and stop(): time that passed, and CPU time of the whole process, so that no thread that a
// runtime keeps beside its own is left out.
class stopwatch {
public:
    void start() noexcept {
        wall_ = now(CLOCK_MONOTONIC);
        cpu_ = now(CLOCK_PROCESS_CPUTIME_ID);
    }
    void stop() noexcept {
        cpu_ = now(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
        wall_ = now(CLOCK_MONOTONIC) - wall_;
    }

    // In nanoseconds; valid once stopped.
    [[nodiscard]] double wall() const noexcept { return wall_; }
    [[nodiscard]] double cpu() const noexcept { return cpu_; }

private:
    static double now(clockid_t clock) noexcept {
        timespec time{};
        ::clock_gettime(clock, &time);
        return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
    }

    double wall_ = 0;
    double cpu_ = 0;
};

// One kind of step. `run` does it `count` times between the watch's start and stop; what it needs, it makes before,
// and what came of it, it looks at after.
struct step {
    char const* name;
    void (*run)(long count, stopwatch& watch);
};

inline void expect(bool done, char const* what) {
    if (done)
        return;
    std::fprintf(stderr, "the work was not done: %s\n", what);
    std::exit(1);
}

// Counts how often it is another's turn than before: proof that a yield was a switch. Who takes turns runs the same code, not
// two inlined copies of it: a processor predicts returns, wrongly if a switch leads to another place than it came from.
class turns {
public:
    void take(int who) noexcept {
        changes_ += last_ != who ? 1 : 0;
        last_ = who;
    }

    // A runtime may look elsewhere now and then.
    void expect_alternation(long count) const {
        expect(changes_ > count - count / 20 - 2, "the two did not take turns");
    }

private:
    int last_ = 0;
    long changes_ = 0;
};

inline void expect_sum(long count, std::int64_t sum) {
    expect(sum == static_cast<std::int64_t>(count) * (count + 1) / 2, "the items' sum is wrong");
}

// A second thread, which sleeps: what a lock can do without in a process that has but one, it cannot beside this.
class idle_thread {
public:
    idle_thread() : thread_([this] { end_.acquire(); }) {}
    idle_thread(idle_thread const&) = delete;
    idle_thread& operator=(idle_thread const&) = delete;
    ~idle_thread() {
        end_.release();
        thread_.join();
    }

private:
    std::binary_semaphore end_{0};
    std::thread thread_;
};

enum class order { rising, random };

// An hour from now and later, a microsecond apart; at random: as many microseconds, in an order that is the same every time.
inline std::vector<std::chrono::steady_clock::time_point> deadlines(long count, order how) {
    auto const first = std::chrono::steady_clock::now() + std::chrono::hours(1);
    std::vector<std::chrono::steady_clock::time_point> all;
    all.reserve(static_cast<std::size_t>(count));
    std::uint64_t state = 1;
    for (long i = 0; i < count; ++i) {
        // Knuth's linear congruential generator, whose high bits are the good ones.
        state = state * 6364136223846793005U + 1442695040888963407U;
        auto const at =
            how == order::rising ? i : static_cast<long>((state >> 33) % static_cast<std::uint64_t>(count));
        all.push_back(first + std::chrono::microseconds(at));
    }
    return all;
}

// The programs' main(). Call it where the steps can run.
inline int run(char const* runtime, std::span<step const> steps, int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "about") {
        std::printf(R"({"runtime": "%s", "steps": [)", runtime);
        for (step const& one : steps)
            std::printf("%s\"%s\"", &one == steps.data() ? "" : ", ", one.name);
        std::printf("]}\n");
        return 0;
    }
    long const count = argc == 3 ? std::strtol(argv[2], nullptr, 10) : 0;
    if (count > 0) {
        for (step const& one : steps) {
            if (std::string_view(argv[1]) != one.name)
                continue;
            stopwatch watch;
            one.run(count, watch);
            one.run(count, watch);
            auto const each = static_cast<double>(count);
            std::printf(R"({"step": "%s", "count": %ld, "cpu_ns": %.3f, "wall_ns": %.3f})"
                        "\n",
                        one.name, count, watch.cpu() / each, watch.wall() / each);
            return 0;
        }
    }
    std::fprintf(stderr, "usage: %s about | STEP COUNT, where `about` tells the steps\n", argv[0]);
    return 2;
}

} // namespace primitives
