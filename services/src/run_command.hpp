// `weft run`: an unmodified program under the patch layer.
#pragma once

#include <string>
#include <vector>

namespace weft::services {

struct run_command_options {
    bool statistics = false;
    bool files = false;               // weft::patch_options::files
    std::vector<std::string> command; // the program and its arguments
};

// Becomes the program: same process, standard streams and signals. Returns only if it can't, with the exit code, having said
// why on stderr.
int run_command(run_command_options const& options);

} // namespace weft::services
