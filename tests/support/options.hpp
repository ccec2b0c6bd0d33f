// run_options with this many workers.
#pragma once

#include <cstddef>

#include <weft/run.hpp>

namespace support {

inline weft::run_options with_workers(std::size_t count) {
    weft::run_options options;
    options.workers = count;
    return options;
}

} // namespace support
