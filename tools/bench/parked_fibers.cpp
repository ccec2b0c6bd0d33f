// parked_fibers: what a great many fibers cost that wait and do nothing else: memory, mappings, and the time to make and
// end them. Every one has a stack of the default size with its guard.
//
//     parked_fibers [COUNT]        (a million if not said)
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

namespace {

double milliseconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// A line of /proc/self/status in KiB.
long status_of(std::string const& name) {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(name + ":"))
            return std::strtol(line.c_str() + name.size() + 1, nullptr, 10);
    return -1;
}

long mapping_count() {
    std::ifstream file("/proc/self/maps");
    long count = 0;
    for (std::string line; std::getline(file, line);)
        ++count;
    return count;
}

} // namespace

int main(int argc, char** argv) {
    long const count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1'000'000;
    if (count <= 0) {
        std::fputs("usage: parked_fibers [COUNT]\n", stderr);
        return 2;
    }
    return weft::run([count] {
        weft::semaphore end(0);
        long const resident = status_of("VmRSS");
        auto const start = std::chrono::steady_clock::now();
        for (long i = 0; i < count; ++i)
            weft::spawn([&] { end.acquire(); }).detach();
        weft::this_fiber::yield();
        double const made = milliseconds_since(start);
        long const grown = status_of("VmRSS") - resident;
        std::printf(
            "%ld parked fibers: %.2f GB resident, %.0f bytes each, page tables %.2f GB, %ld mappings, "
            "made in %.0f ms\n",
            count, static_cast<double>(grown) * 1024 / 1e9,
            static_cast<double>(grown) * 1024 / static_cast<double>(count),
            static_cast<double>(status_of("VmPTE")) * 1024 / 1e9, mapping_count(), made);
        auto const release = std::chrono::steady_clock::now();
        end.release(count);
        weft::this_fiber::yield();
        std::printf("ended in %.0f ms\n", milliseconds_since(release));
    });
}
