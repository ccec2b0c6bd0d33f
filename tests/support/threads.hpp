// How many threads this process has.
#pragma once

#include <cstddef>
#include <fstream>
#include <string>

namespace support {

inline std::size_t thread_count() {
    std::ifstream status("/proc/self/status");
    std::size_t count = 0;
    for (std::string word; status >> word;)
        if (word == "Threads:") {
            status >> count;
            break;
        }
    return count;
}

} // namespace support
