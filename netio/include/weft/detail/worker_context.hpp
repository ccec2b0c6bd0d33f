// worker_context: the io_context of a worker, and the fibers that run it and end it. See weft/net/io_context_for_this_worker.hpp.
//
// Asio is headers, and macros of the program's choose between forms of them that don't fit together. So whatever touches it is compiled in
// the program, and given to the library as these functions.
#pragma once

namespace weft::detail {

struct fiber_core;

struct worker_context_type {
    void* (*make)();                // an execution_context that has work to do until let_end()
    void (*run)(void* context);     // until it is out of work or stopped; throws what a handler throws
    void (*let_end)(void* context); // when it does nothing but what was begun with it
    void (*go_on)(void* context);   // takes that back
    void (*destroy)(void* context) noexcept;
};

// The calling worker's, made if there is none. Throws std::logic_error off fibers, or if epoll_wait isn't patched; what make() throws.
void* obtain_worker_context(worker_context_type const& type);

// The fiber that runs it, or null.
[[nodiscard]] fiber_core* runner_of_worker_context() noexcept;

} // namespace weft::detail
