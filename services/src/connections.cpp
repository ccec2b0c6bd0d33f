#include "connections.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <utility>

#include <weft/fiber.hpp>
#include <weft/this_fiber.hpp>

#include "log.hpp"

namespace weft::services {

bool connection::draining() const noexcept { return all_.draining(); }

bool connection::begin_idle() noexcept {
    std::scoped_lock const lock(all_.mutex_);
    idle_ = !all_.draining();
    return idle_;
}

void connection::end_idle() noexcept {
    std::scoped_lock const lock(all_.mutex_);
    idle_ = false;
}

connections::connections(std::string name, std::size_t limit)
    : name_(std::move(name)), room_(static_cast<std::ptrdiff_t>(limit)) {}

void connections::start(int fd, handler serve) {
    room_.acquire();
    if (draining()) {
        ::close(fd);
        room_.release();
        return;
    }
    std::uint64_t const number = started_.fetch_add(1, std::memory_order_relaxed) + 1;
    try {
        spawn({.name = name_ + "-" + std::to_string(number), .stack_size = 0}, [this, fd,
                                                                                serve = std::move(serve)] {
            run(fd, serve);
        }).detach();
    } catch (std::exception const& e) {
        log_line("{}: cannot serve a connection: {}", name_, e.what());
        ::close(fd);
        room_.release();
    }
}

void connections::run(int fd, handler const& serve) {
    std::unique_lock lock(mutex_);
    auto const place = open_.emplace(open_.end(), *this, fd);
    lock.unlock();
    try {
        serve(*place);
    } catch (std::exception const& e) {
        log_line("{}: handler failed: {}", this_fiber::name(), e.what());
    } catch (...) {
        log_line("{}: handler failed with an exception that is no std::exception", this_fiber::name());
    }
    leave(place);
}

// All under the lock: whoever takes it afterwards and finds none open may end `*this`.
void connections::leave(std::list<connection>::iterator place) noexcept {
    std::scoped_lock const lock(mutex_);
    open_.erase(place);
    room_.release();
    if (open_.empty() && draining())
        empty_.release();
}

std::size_t connections::count() const noexcept {
    std::scoped_lock const lock(mutex_);
    return open_.size();
}

std::size_t connections::drain(time_point limit) {
    std::unique_lock lock(mutex_);
    draining_.store(true, std::memory_order_relaxed);
    bool const none = open_.empty();
    for (connection const& each : open_)
        if (each.idle_)
            ::shutdown(each.fd_, SHUT_RDWR);
    lock.unlock();
    if (none)
        return 0;
    bool const finished = empty_.try_acquire_until(limit);
    lock.lock();
    if (finished)
        return 0;
    std::size_t const left = open_.size();
    for (connection const& each : open_)
        ::shutdown(each.fd_, SHUT_RDWR);
    lock.unlock();
    empty_.acquire();
    lock.lock();
    return left;
}

} // namespace weft::services
