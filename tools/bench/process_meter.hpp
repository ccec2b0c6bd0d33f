// Reads the processor time and the resident memory of a running process, given its pid.
//
// Every reading throws std::runtime_error when the process is gone. A process that ended but was not waited
// for (a zombie) counts as gone.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <chrono>
#include <cstdint>

struct cpu_reading {
    std::uint64_t total_ns = 0;     // all threads, exact
    std::uint64_t user_ticks = 0;   // sampled by the kernel's clock tick: good for the split into
    std::uint64_t system_ticks = 0; // user and system, not for a sum

    cpu_reading& operator+=(const cpu_reading& other) noexcept {
        total_ns += other.total_ns;
        user_ticks += other.user_ticks;
        system_ticks += other.system_ticks;
        return *this;
    }
    friend cpu_reading operator-(const cpu_reading& a, const cpu_reading& b) noexcept {
        return {a.total_ns - b.total_ns, a.user_ticks - b.user_ticks, a.system_ticks - b.system_ticks};
    }
};

struct memory_reading {
    std::uint64_t rss = 0; // bytes resident
    std::uint64_t pss =
        0; // bytes resident, with a page shared by n processes counted as 1/n; 0: not readable
};

class process_meter {
public:
    explicit process_meter(pid_t pid);

    pid_t pid() const noexcept { return pid_; }
    bool alive() const;
    cpu_reading read_cpu() const;

    // Walks the process's page tables (/proc/PID/smaps_rollup): exact, but slow for a huge process. VmRSS of
    // /proc/PID/status sums per-CPU counters that lag by up to a few hundred KiB, so it is only the way out
    // where smaps_rollup may not be read.
    memory_reading read_memory() const;

    // Returns once the process has used no processor time for `pause`, or after `limit`.
    void wait_until_quiet(std::chrono::nanoseconds pause, std::chrono::nanoseconds limit) const;

private:
    std::uint64_t read_total() const;
    [[noreturn]] void fail_gone() const;

    pid_t pid_;
    clockid_t clock_ = 0;
};
