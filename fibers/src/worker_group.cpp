#include "worker_group.hpp"

#include <memory>
#include <utility>

#include <weft/detail/misuse.hpp>

#include "worker.hpp"

namespace weft::detail {
namespace {

// Has the worker call a function of its own, on its thread.
struct order : inbox_message {
    order(worker& target_, void (worker::*what_)() noexcept) : target(target_), what(what_) {
        deliver = [](inbox_message& message) noexcept {
            auto* const self = static_cast<order*>(&message);
            order const copy = *self;
            delete self;
            (copy.target.*copy.what)();
        };
    }

    worker& target;
    void (worker::*what)() noexcept;
};

void tell(worker& target, void (worker::*what)() noexcept) noexcept {
    if (&target == this_worker)
        (target.*what)();
    else
        target.post(*new order(target, what));
}

} // namespace

void worker_group::survive_fork(worker& one) noexcept {
    forked_ = true;
    busy_.store(1, std::memory_order_relaxed); // its main, or its one fiber
    std::construct_at(&idle_mutex);            // another worker may have held it
    for (worker*& each : workers)
        if (each != nullptr && each != &one) {
            each->link()->target = nullptr; // nobody is there to be posted to
            each = nullptr;
        }
}

void worker_group::stop() noexcept {
    for (worker* const each : workers)
        if (each != nullptr)
            tell(*each, &worker::stop);
}

void worker_group::end_dead(std::string report) noexcept {
    if (dead_end_)
        fail_misuse((*dead_end_ + "\nThey were cancelled, but not all could be:\n" + report).c_str());
    dead_end_ = std::move(report);
    for (worker* const each : workers)
        if (each != nullptr)
            tell(*each, &worker::cancel_fibers);
}

} // namespace weft::detail
