// A function for a fiber that is to be cancelled: sleeps until it is, and counts that.
#pragma once

#include <chrono>

#include <weft/cancel_scope.hpp>
#include <weft/this_fiber.hpp>

namespace support {

inline auto sleeper(int& cancelled) {
    return [&cancelled] {
        try {
            weft::this_fiber::sleep_for(std::chrono::hours(100));
        } catch (weft::cancelled const&) {
            ++cancelled;
            throw;
        }
    };
}

} // namespace support
