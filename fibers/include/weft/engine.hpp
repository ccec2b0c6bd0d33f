// engine: what a worker asks to wait, when none of its fibers can run.
//
// fibers/ knows no file descriptor: it hands the thread to an engine, which waits for whatever it knows about
// (netio's waits in epoll) and wakes the fibers concerned with detail::wake(). Each worker owns one engine,
// made on the worker's thread by run_options::make_engine.
//
// Threads: poll() is called on the worker's thread alone, never on a fiber; notify() from any thread.
#pragma once

#include <functional>
#include <memory>

#include <weft/clock.hpp>

namespace weft {

class engine {
public:
    engine() = default;
    engine(engine const&) = delete;
    engine& operator=(engine const&) = delete;
    virtual ~engine() = default;

    // Waits until an event, notify() or `deadline`, whichever is first, and wakes the fibers whose events came.
    // A deadline in the past means: look, don't wait. Returning early is allowed, returning late is not.
    virtual void poll(time_point deadline) noexcept = 0;

    // In the child of a fork by a fiber of the engine's worker, which goes on alone there: whoever waited is gone, and
    // what the parent waits with must not be touched.
    virtual void survive_fork() noexcept = 0;

    // Makes the poll() in progress return, or the next one if none is.
    virtual void notify() noexcept = 0;
};

using engine_factory = std::function<std::unique_ptr<engine>()>;

namespace detail {

class worker;
struct inbox_message;

// The calling thread's worker; null on any other thread. Known to an engine from its construction on.
worker* calling_worker() noexcept;

// Delivers `message` on the worker's thread, soon; wakes it if it sleeps. Any thread, while the worker lives: an engine
// knows that it does until its own destructor has run.
void post_message(worker& target, inbox_message& message) noexcept;

// The factory used where run_options names none. netio sets it before main(); without netio, fibers' own engine
// waits for timers and notifications alone. Not to be called while weft::run is running.
void set_default_engine(engine_factory factory);

} // namespace detail
} // namespace weft
