// diagnosis: which calls of a program, and of the libraries that it loads, weft patches, and which still block the worker.
//
// The files are read, and the dynamic linker is asked what it would load; nothing of them is run. What a program loads later
// (dlopen) is not seen, only that it may.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "elf_file.hpp"

namespace weft::services {

enum class call_state : std::uint8_t {
    patched,      // the fiber waits
    offloaded,    // another thread makes the call
    blocking,     // libc's, and the worker waits in it, perhaps without end
    raw,          // a system call past libc, which nothing can stand before
    pass_through, // libc's, by design
    elsewhere,    // not libc's: another file of the program defines it
};

struct call_finding {
    std::string name;
    call_state state = call_state::patched;
    std::string group;  // of the calls with the same reason; or the file that defines it
    std::string reason; // empty for what is patched
    std::string place;  // in the file's memory, of a raw system call
    bool allowed = false;
};

// Of one file that is loaded.
struct file_findings {
    std::string name;
    std::string path;
    bool is_libc =
        false; // or belongs to it: what it does inside is told with the calls of those that call it
    bool loads_more = false;
    std::vector<call_finding> calls;
    std::vector<std::string> replaced; // patched names that it defines itself, in whose place weft's come
    std::vector<std::string> kept;     // those in whose place they can't, as it is the program
};

struct diagnosis {
    std::string name;  // as it was asked for
    std::string path;  // what that is
    std::string image; // the ELF file looked at: `path`, or the interpreter of a script
    elf_kind kind = elf_kind::program;
    bool has_patch_layer = false;
    std::vector<std::string> obstacles; // each a reason why nothing of it is patched
    std::vector<file_findings> files;   // in the order in which names are searched for; the image comes first
};

struct diagnosis_options {
    std::vector<std::string> allowed; // what counts as all right: calls, or whole files
    bool files = false;               // as with patch_options::files
};

// Throws program_error for what can't be looked at.
diagnosis diagnose(std::string const& name, diagnosis_options const& options);

// Whether the worker has to wait in it.
bool is_unpatched(call_finding const& call);

// Of all files, each call of each file once.
std::size_t count_unpatched(diagnosis const& of);

} // namespace weft::services
