// spawn_options: what may be said of a fiber when it is spawned.
#pragma once

#include <cstddef>
#include <string_view>

namespace weft {

struct spawn_options {
    // For logs, dumps and error messages; cut to 31 bytes. Copied. Empty: the fiber is called by its number.
    std::string_view name;

    // Address space for the stack in bytes, guard included; at least 32 KiB are used. 0: run_options::stack_size.
    std::size_t stack_size = 0;

    // A service to the others, which weft::run doesn't wait for: when all others have ended, it is cancelled, and run returns once
    // it has ended. What it spawns meanwhile runs to its end.
    bool daemon = false;
};

} // namespace weft
