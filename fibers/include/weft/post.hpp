// post: starts a fiber on another worker, from anywhere.
//
//     weft::worker_ref const home = weft::this_worker(); // on a fiber
//     std::thread([home] { weft::post(home, [] { handle_event(); }); }).detach();
//
// A worker that sleeps is woken once, however many posts come before it has run.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace weft {

namespace detail {
struct worker_link;
}

// One worker of a run, to be addressed by other threads; copies are the same. It may outlive the run.
class worker_ref {
public:
    worker_ref() noexcept = default; // none

    // The worker's place in its run, as worker_index() says.
    [[nodiscard]] std::size_t index() const noexcept { return index_; }
    friend bool operator==(worker_ref const& a, worker_ref const& b) noexcept { return a.link_ == b.link_; }

private:
    friend worker_ref this_worker();
    friend void post(worker_ref const& worker, std::function<void()> function);

    std::shared_ptr<detail::worker_link> link_;
    std::size_t index_ = 0;
};

// The calling fiber's. Throws std::logic_error where no worker runs.
worker_ref this_worker();

// Starts `function` as a detached fiber of that worker. It counts as live from now on: weft::run waits for it. An exception that leaves it goes to
// run_options::on_unhandled. Any thread. Throws std::runtime_error if the run has ended, or only daemons are left in it; the function
// is not called then. std::logic_error for a reference to no worker; std::bad_alloc.
void post(worker_ref const& worker, std::function<void()> function);

// The same for the worker with that place in the caller's run. On fibers only: std::logic_error. std::out_of_range if there is no such worker.
void post(std::size_t worker, std::function<void()> function);

} // namespace weft
