// See process_meter.hpp.
#include "process_meter.hpp"

#include <chrono>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace {

// The fields of /proc/PID/stat from the third (state) on. The second, the program's name in parentheses, may
// contain spaces and parentheses itself, so the last ')' is what ends it.
std::string stat_after_name(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(file, line);
    const auto end_of_name = line.rfind(") ");
    return end_of_name == std::string::npos ? std::string() : line.substr(end_of_name + 2);
}

// The value in bytes of a line `KEY:   N kB`, 0 if there is none.
std::uint64_t kib_field(std::istream& file, std::string_view key) {
    std::string word;
    while (file >> word) {
        std::uint64_t kib = 0;
        if (word == key && file >> kib)
            return kib * 1024;
    }
    return 0;
}

} // namespace

process_meter::process_meter(pid_t pid) : pid_(pid) {
    if (clock_getcpuclockid(pid, &clock_) != 0 || !alive())
        fail_gone();
}

bool process_meter::alive() const {
    const std::string fields = stat_after_name(pid_);
    return !fields.empty() && fields[0] != 'Z' && fields[0] != 'X';
}

std::uint64_t process_meter::read_total() const {
    timespec time{};
    if (clock_gettime(clock_, &time) != 0)
        fail_gone();
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(time.tv_nsec);
}

cpu_reading process_meter::read_cpu() const {
    cpu_reading reading;
    reading.total_ns = read_total();
    std::istringstream fields(stat_after_name(pid_));
    std::string skipped;
    for (int field = 3; field < 14; ++field)
        fields >> skipped;
    if (!(fields >> reading.user_ticks >> reading.system_ticks))
        fail_gone();
    return reading;
}

memory_reading process_meter::read_memory() const {
    if (!alive())
        fail_gone();
    const std::string folder = "/proc/" + std::to_string(pid_);
    memory_reading reading;
    if (std::ifstream rollup(folder + "/smaps_rollup"); rollup) {
        reading.rss = kib_field(rollup, "Rss:");
        reading.pss = kib_field(rollup, "Pss:");
    }
    if (reading.rss == 0) {
        std::ifstream status(folder + "/status");
        reading.rss = kib_field(status, "VmRSS:");
    }
    return reading;
}

void process_meter::wait_until_quiet(std::chrono::nanoseconds pause, std::chrono::nanoseconds limit) const {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    auto used = read_total();
    while (std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(pause);
        const auto now_used = read_total();
        if (now_used == used)
            return;
        used = now_used;
    }
}

void process_meter::fail_gone() const {
    throw std::runtime_error("the server (pid " + std::to_string(pid_) + ") is not running");
}
