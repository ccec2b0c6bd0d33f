// patch: libc's blocking calls, patched so that on a fiber they wait without the thread.
//
// Linking the CMake target weft::patch does it; a program need not call anything. weft::patch() proves it, and chooses what is
// not done by default. docs/reference/patched-calls.md lists the calls.
#pragma once

namespace weft {

struct patch_options {
    // Calls on files that wait for a disk, or for a lock on a file, are made by other threads while the fiber waits: open,
    // read, write, pread, pwrite, fsync, flock, lockf, fcntl's locks and their relatives. Otherwise they make the worker wait.
    // What is in memory already is read without that detour; all else costs two switches and a wake-up more.
    bool files = false;
};

// Verifies that the process's calls really are weft's, and that libc keeps its locks as weft takes them to be; then sets the
// options, for the whole process. Throws std::runtime_error, which names the first call that goes elsewhere and why that may be.
//
// Any thread, as a rule first thing in main(). Defined by weft::patch alone: a program that isn't linked with it isn't linked at
// all. Costs a look-up of each name by the dynamic linker, some 0.1 ms.
void patch(patch_options const& options = {});

} // namespace weft
