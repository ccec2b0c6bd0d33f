// program_file: what is to be known of a program before it is run: where it is, and whether anything can be preloaded into it.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace weft::services {

// What shells answer: 127 for a program that isn't found, 126 for one that can't be run.
struct program_error : std::runtime_error {
    program_error(int code_, std::string const& text) : std::runtime_error(text), code(code_) {}

    int code;
};

struct program_file {
    std::string path;  // what is to be executed
    std::string image; // the ELF file that then runs: `path`, or the interpreter that a script names
    std::string
        loader; // the dynamic linker that the image asks for; empty if it is statically linked, or a library
};

// The program that a shell would run for `name`, or a shared library, whose path it is. Throws program_error if there is none.
program_file find_file(std::string const& name);

// Why the system lets nothing be preloaded into the file: it runs with other rights. Empty if it does.
std::string preload_obstacle(std::string const& path);

// The program that a shell would run for `name`. Throws program_error if there is none, or if it takes no preloaded
// libraries: statically linked, set-user-ID, for another machine.
program_file find_program(std::string const& name);

struct loaded_library {
    std::string name; // as the one that needs it calls it
    std::string path;
};

// Has the dynamic linker `loader` itself resolve what `image` needs, without running it; with the library `preload`, if that isn't
// empty. In the order in which it searches them for names. Throws program_error with what it said, if it refuses.
std::vector<loaded_library> resolve_libraries(std::string const& loader, std::string const& image,
                                              std::string const& preload);

} // namespace weft::services
