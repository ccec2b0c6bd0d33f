// log_line: one line on stderr, `weft: ` before it.
//
// Goes through stdio, whose own write is libc's: logging never switches fibers, so it may be done under a lock.
#pragma once

#include <cstdio>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace weft::services {

template <class... Arguments>
void log_line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    std::string const line = "weft: " + fmt::format(format, std::forward<Arguments>(arguments)...) + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
}

} // namespace weft::services
