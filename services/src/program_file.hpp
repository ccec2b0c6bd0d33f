// program_file: what is to be known of a program before it is run: where it is, and whether anything can be preloaded into it.
#pragma once

#include <stdexcept>
#include <string>

namespace weft::services {

// What shells answer: 127 for a program that isn't found, 126 for one that can't be run.
struct program_error : std::runtime_error {
    program_error(int code_, std::string const& text) : std::runtime_error(text), code(code_) {}

    int code;
};

struct program_file {
    std::string path;   // what is to be executed
    std::string image;  // the ELF file that then runs: `path`, or the interpreter that a script names
    std::string loader; // the dynamic linker that the image asks for
};

// The program that a shell would run for `name`. Throws program_error if there is none, or if it takes no preloaded
// libraries: statically linked, set-user-ID, for another machine.
program_file find_program(std::string const& name);

// Has the dynamic linker itself resolve what `program` needs, without running it, with `library` preloaded. Its list of what
// it loaded, a line each; throws program_error with what it said, if it refuses.
std::string resolve_libraries(program_file const& program, std::string const& library);

} // namespace weft::services
