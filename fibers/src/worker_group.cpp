#include "worker_group.hpp"

#include "worker.hpp"

namespace weft::detail {
namespace {

struct stop_message : inbox_message {
    explicit stop_message(worker& target_) : target(target_) {
        deliver = [](inbox_message& message) noexcept {
            auto* const self = static_cast<stop_message*>(&message);
            worker& stopped = self->target;
            delete self;
            stopped.stop();
        };
    }

    worker& target;
};

} // namespace

void worker_group::survive_fork(worker& one) noexcept {
    forked_ = true;
    busy_.store(1, std::memory_order_relaxed); // its main, or its one fiber
    for (worker*& each : workers)
        if (each != &one)
            each = nullptr;
}

void worker_group::stop() noexcept {
    for (worker* const each : workers) {
        if (each == this_worker && each != nullptr)
            each->stop();
        else if (each != nullptr)
            each->post(*new stop_message(*each));
    }
}

} // namespace weft::detail
