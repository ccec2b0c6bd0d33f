#include "run_command.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "log.hpp"
#include "program_file.hpp"

namespace weft::services {
namespace {

namespace fs = std::filesystem;

constexpr int not_runnable = 126;
constexpr char const* library_name = "libweft_preload.so";

// Beside this program, as it was built or installed.
std::string find_preload_library() {
    fs::path const folder = fs::read_symlink("/proc/self/exe").parent_path();
    for (char const* const place : {"../lib", "../" WEFT_LIBRARY_FOLDER}) {
        fs::path const candidate = (folder / place / library_name).lexically_normal();
        if (fs::exists(candidate))
            return candidate;
    }
    throw program_error(not_runnable, fmt::format("{} is missing; it belongs into {}", library_name,
                                                  (folder / "../lib").lexically_normal().string()));
}

// Proof by the dynamic linker itself that the library will be in the program.
void require_preload(program_file const& program, std::string const& library) {
    auto const loaded = resolve_libraries(program.loader, program.image, library);
    if (std::none_of(loaded.begin(), loaded.end(),
                     [&](loaded_library const& each) { return each.path == library; }))
        throw program_error(not_runnable,
                            fmt::format("{}: {} does not load {}, so its calls would not be patched",
                                        program.image, program.loader, library));
}

// First, so that its names come before other preloaded ones.
void prepend_preload(std::string const& library) {
    char const* const others = std::getenv("LD_PRELOAD");
    std::string const all =
        others != nullptr && *others != '\0' ? fmt::format("{}:{}", library, others) : library;
    ::setenv("LD_PRELOAD", all.c_str(), 1);
}

} // namespace

int run_command(run_command_options const& options) {
    try {
        program_file const program = find_program(options.command.front());
        std::string const library = find_preload_library();
        require_preload(program, library);
        prepend_preload(library);
        std::string const process = fmt::format("{}", ::getpid());
        ::setenv("WEFT_RUN_PROCESS", process.c_str(), 1);
        if (options.statistics)
            ::setenv("WEFT_RUN_STATISTICS", process.c_str(), 1);
        else
            ::unsetenv("WEFT_RUN_STATISTICS");
        if (options.files)
            ::setenv("WEFT_RUN_FILES", "1", 1);
        else
            ::unsetenv("WEFT_RUN_FILES");
        std::vector<char*> arguments;
        for (std::string const& each : options.command)
            arguments.push_back(const_cast<char*>(each.c_str()));
        arguments.push_back(nullptr);
        ::execv(program.path.c_str(), arguments.data());
        log_line("run: {}: {}", program.path, std::strerror(errno));
        return not_runnable;
    } catch (program_error const& error) {
        log_line("run: {}", error.what());
        return error.code;
    }
}

} // namespace weft::services
