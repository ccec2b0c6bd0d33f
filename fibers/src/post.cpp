#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <weft/fiber.hpp>
#include <weft/post.hpp>

#include "unhandled.hpp"
#include "worker.hpp"
#include "worker_group.hpp"

namespace weft {
namespace {

// Becomes a fiber of the worker that it is delivered to. Counted as work of the group from its sending on.
struct posted_function : detail::inbox_message {
    explicit posted_function(std::function<void()> function_) : function(std::move(function_)) {
        deliver = [](inbox_message& message) noexcept {
            auto* const self = static_cast<posted_function*>(&message);
            try {
                spawn(std::move(self->function)).detach();
            } catch (...) {
                detail::report_unhandled("posted function", std::current_exception());
            }
            delete self;
            detail::this_worker->group().end_work();
        };
    }

    std::function<void()> function;
};

// The worker exists.
void post_to(detail::worker& target, std::function<void()> function) {
    auto message = std::make_unique<posted_function>(std::move(function));
    if (!target.group().begin_work())
        throw std::runtime_error("weft::post: the run of that worker is ending, and starts no more fibers");
    target.post(*message.release());
}

} // namespace

worker_ref this_worker() {
    detail::worker& self = detail::require_worker("weft::this_worker");
    worker_ref ref;
    ref.link_ = self.link();
    ref.index_ = self.index();
    return ref;
}

void post(worker_ref const& worker, std::function<void()> function) {
    if (!worker.link_)
        throw std::logic_error(
            "weft::post: the worker_ref refers to no worker; take it from weft::this_worker()");
    // Until it has been told, the worker must not end.
    worker.link_->lock.lock();
    detail::worker* const target = worker.link_->target;
    std::optional<detail::worker::posting> posting;
    if (target != nullptr)
        posting.emplace(*target);
    worker.link_->lock.unlock();
    if (target == nullptr)
        throw std::runtime_error("weft::post: the run of that worker has ended");
    post_to(*target, std::move(function));
}

void post(std::size_t worker, std::function<void()> function) {
    detail::worker_group& group = detail::require_worker("weft::post").group();
    if (worker >= group.workers.size())
        throw std::out_of_range("weft::post: there is no worker " + std::to_string(worker) +
                                "; this run has " + std::to_string(group.workers.size()));
    if (group.workers[worker] == nullptr)
        throw std::runtime_error("weft::post: worker " + std::to_string(worker) +
                                 " is not in this process, which a fork by a fiber of another one made");
    post_to(*group.workers[worker], std::move(function));
}

} // namespace weft
