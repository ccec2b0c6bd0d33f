// Errors on the command line, as one line that says what is wrong and what to do.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace weft::services {

// What to say of `error`, that parsing `arguments` (without the program's name) ended in. Names the first argument that
// isn't known, and the known one that it resembles.
std::string describe_usage_error(CLI::App const& program, CLI::ParseError const& error,
                                 std::vector<std::string> const& arguments);

} // namespace weft::services
