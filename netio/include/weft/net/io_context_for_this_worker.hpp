// io_context_for_this_worker: Asio on fibers. Each worker has one io_context, made when it is first asked for, and run by a fiber of
// the worker's own: it waits in epoll_wait as every fiber waits in patched calls, so the program must be linked with weft::patch.
//
//     boost::asio::steady_timer timer(weft::net::io_context_for_this_worker(), 1s);
//     timer.async_wait(weft::net::use_fiber);
//     timer.async_wait([](boost::system::error_code) { ... }); // on the context's fiber
//
// Handlers run on that one fiber, in turn. One that waits (by a patched call, say) holds up the others of this context, and nothing else; one
// that waits with use_fiber would wait for itself, so that throws: spawn a fiber for it. An exception that leaves a handler goes to
// run_options::on_unhandled, and the next handler is called.
//
// The end: when every fiber has ended, daemons included, the context goes on until it is out of work, so that what plain callbacks wait for
// is not lost, and as long as there are fibers that these spawn; then the worker destroys it, with weft::run about to return. A
// callback that always begins another operation keeps run from returning, as it does io_context::run. So objects made with the context
// may live in fibers of its worker, and in handlers; others, static ones say, must end before. A later weft::run has contexts of its own.
//
// The context is its worker's: post to it from any thread, but begin operations on its sockets and timers on fibers of its worker, and don't
// run() it. stop() makes it drop what is left, once every fiber has ended; before, it does nothing.
//
// Sockets of Asio's are non-blocking descriptors (O_NONBLOCK): patched calls on them don't wait. A descriptor that Asio is to adopt
// (assign) becomes so, too: give it a dup(2) only of a socket that nobody uses otherwise.
//
// After fork(2) by a fiber, the child has no context; the next call makes one. What was made with the parent's is of no use there.
//
// Not in weft/weft.hpp: with Asio's headers, that would take twice as long to compile.
#pragma once

#include <memory>

#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <weft/detail/asio_lists.hpp> // used by its being included
#include <weft/detail/worker_context.hpp>

namespace weft::net {

namespace detail {

struct worker_io_context : boost::asio::io_context {
    // One fiber runs it; others only post. With a timer its reactor is made, too: it must not be made in a cancelled scope later.
    worker_io_context() : io_context(1), work(boost::asio::make_work_guard(*this)) {
        boost::asio::steady_timer const timer(*this);
    }

    static worker_io_context& from(void* context) noexcept {
        return *static_cast<worker_io_context*>(static_cast<boost::asio::execution_context*>(context));
    }

    boost::asio::executor_work_guard<executor_type> work; // as long as there are fibers
};

inline constexpr weft::detail::worker_context_type worker_io_context_type{
    .make = []() -> void* { return static_cast<boost::asio::execution_context*>(new worker_io_context); },
    .run =
        [](void* context) {
            auto& self = worker_io_context::from(context);
            if (self.stopped())
                self.restart();
            self.run();
        },
    .let_end = [](void* context) { worker_io_context::from(context).work.reset(); },
    .go_on =
        [](void* context) {
            auto& self = worker_io_context::from(context);
            std::destroy_at(&self.work);
            std::construct_at(&self.work, boost::asio::make_work_guard(self));
        },
    .destroy = [](void* context) noexcept { delete &worker_io_context::from(context); },
};

} // namespace detail

// The calling worker's. On a fiber only. Throws std::logic_error off fibers, or if weft::patch isn't linked; what making an io_context
// throws (boost::system::system_error without descriptors).
inline boost::asio::io_context& io_context_for_this_worker() {
    return detail::worker_io_context::from(
        weft::detail::obtain_worker_context(detail::worker_io_context_type));
}

} // namespace weft::net
