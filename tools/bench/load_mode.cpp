// See load_mode.hpp.
#include "load_mode.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;

// The start of a slice is not counted: the caches still hold the previous server's data.
constexpr std::uint64_t ramp = 2 * second / 1000;

std::uint64_t nanoseconds(double seconds) {
    return static_cast<std::uint64_t>(seconds * static_cast<double>(second));
}

// The connections to one server and what came of driving it. Nothing is in flight on them except within
// drive(), so servers can be driven in turn.
class driver {
public:
    driver(const options& o, const server_options& server, const std::optional<process_meter>& meter,
           const pattern& bytes)
        : where_(server),
          size_(o.size),
          meter_(meter),
          pattern_(bytes),
          epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (epoll_.get() < 0)
            fail_with_errno("epoll_create1", errno);
        connections_.reserve(o.connections);
        for (std::size_t i = 0; i < o.connections; ++i) {
            connections_.push_back({where_.connect(), pattern_seed(i)});
            epoll_event event{};
            event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
            event.data.u64 = i;
            if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connections_[i].fd.get(), &event) != 0)
                fail_with_errno("epoll_ctl", errno);
        }
    }

    const std::string& name() const noexcept { return where_.name(); }

    // Load that is not counted. Returns when the server is at rest again, so that the processor time that it
    // uses until it next rests belongs to exactly the requests sent from here on.
    void warm_up(std::uint64_t duration) {
        drive(duration);
        wait_until_at_rest();
    }

    // To follow warm_up().
    void measure(std::uint64_t duration) {
        const cpu_reading server_before = meter_ ? meter_->read_cpu() : cpu_reading{};
        const std::uint64_t own_before = read_clock(CLOCK_PROCESS_CPUTIME_ID);
        const std::uint64_t start = now();
        latencies_ = &result_.latencies;
        drive(duration);
        latencies_ = nullptr;
        result_.window_ns += last_answer_ - start;
        result_.own_cpu_ns += read_clock(CLOCK_PROCESS_CPUTIME_ID) - own_before;
        wait_until_at_rest();
        if (meter_)
            result_.server_cpu += meter_->read_cpu() - server_before;
    }

    const load_result& finish() {
        if (meter_)
            result_.server_memory = meter_->read_memory();
        return result_;
    }

private:
    std::size_t index_of(const connection& c) const {
        return static_cast<std::size_t>(&c - connections_.data());
    }

    // Every connection has one request in flight for `duration`; then those in flight come back.
    void drive(std::uint64_t duration) {
        const std::uint64_t start = now();
        const std::uint64_t deadline = start + duration;
        const std::uint64_t stall_limit = std::max(second, duration / 2);
        last_answer_ = start;
        last_bytes_ = start;
        in_flight_ = connections_.size();
        ending_ = false;
        for (connection& c : connections_)
            begin_request(c, now());
        while (in_flight_ != 0) {
            handle_events();
            const std::uint64_t time = now();
            if (!ending_ && time >= deadline) {
                ending_ = true;
                check_nobody_is_stuck(time, stall_limit);
            }
            if (ending_ && time > std::max(deadline, last_bytes_) + stall_limit)
                check_nobody_is_stuck(time, stall_limit);
            if (time > last_answer_ + silence_limit)
                fail_silent();
        }
    }

    void handle_events() {
        std::array<epoll_event, 256> events;
        const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 100);
        if (count < 0 && errno != EINTR)
            fail_with_errno("epoll_wait", errno);
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events[static_cast<std::size_t>(i)];
            on_event(connections_[event.data.u64], event.events);
        }
    }

    void on_event(connection& c, std::uint32_t events) {
        if ((events & EPOLLOUT) && c.sent < size_)
            send_more(c);
        // Edge-triggered: after a short read the socket is drained and the next bytes bring an event of their
        // own; an end of stream or error that was already reported does not, so read on to meet it.
        const bool ending = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        if (!ending && !(events & EPOLLIN))
            return;
        for (;;) {
            const ssize_t n = ::recv(c.fd.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0 && errno == EAGAIN)
                return;
            if (n <= 0)
                fail_lost(index_of(c), meter_, n == 0 ? 0 : errno);
            on_bytes(c, static_cast<std::size_t>(n));
            if (static_cast<std::size_t>(n) < buffer_.size() && !ending)
                return;
        }
    }

    void on_bytes(connection& c, std::size_t n) {
        if (n > c.sent - c.received)
            fail("connection " + std::to_string(index_of(c)) + " received more bytes than it sent");
        if (std::memcmp(buffer_.data(), c.request + c.received, n) != 0)
            fail("connection " + std::to_string(index_of(c)) + " received wrong bytes");
        c.received += n;
        const std::uint64_t time = now();
        last_bytes_ = time;
        if (c.received < size_)
            return;
        last_answer_ = time;
        if (latencies_)
            latencies_->add(time - c.started);
        if (ending_)
            --in_flight_;
        else
            begin_request(c, time);
    }

    void begin_request(connection& c, std::uint64_t time) {
        c.request = pattern_.slice(c.pattern_state);
        c.sent = 0;
        c.received = 0;
        c.started = time;
        send_more(c);
    }

    void send_more(connection& c) {
        const ssize_t n = ::send(c.fd.get(), c.request + c.sent, size_ - c.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0)
            c.sent += static_cast<std::size_t>(n); // a partial send leaves the rest to the next EPOLLOUT
        else if (errno != EAGAIN)
            fail_lost(index_of(c), meter_, errno);
    }

    // The last answer comes before the server's own last steps. One that never rests is not waited for long.
    void wait_until_at_rest() const {
        if (meter_)
            meter_->wait_until_quiet(200us, 5ms);
    }

    // Quantiles know only the requests that were answered. A connection that a server forgot (a lost wake-up)
    // shows in none of them, so it is looked for.
    void check_nobody_is_stuck(std::uint64_t time, std::uint64_t limit) const {
        for (const connection& c : connections_) {
            const std::uint64_t waited = time - c.started;
            if (c.received == size_ || waited <= limit)
                continue;
            fail_if_dead(meter_);
            fail("connection " + std::to_string(index_of(c)) + " still waits for its answer after " +
                 std::to_string(waited / 1'000'000) + " ms");
        }
    }

    [[noreturn]] void fail_silent() const {
        fail_if_dead(meter_);
        fail("the server answered nothing for 5 s");
    }

    const target where_;
    const std::size_t size_;
    const std::optional<process_meter>& meter_;
    const pattern& pattern_;
    unique_fd epoll_;
    std::vector<connection> connections_;
    std::array<char, 256 * 1024> buffer_;
    std::size_t in_flight_ = 0;
    bool ending_ = false; // answers are awaited, but no more requests leave
    std::uint64_t last_answer_ = 0;
    std::uint64_t last_bytes_ = 0;
    load_result result_;
    latency_histogram* latencies_ = nullptr; // null outside of what is measured
};

using drivers = std::vector<std::unique_ptr<driver>>;

// Errors don't tell which of several servers they are about, so the server's name goes in front.
template <class Step> void name_in_errors(const driver& d, Step step) {
    try {
        step();
    } catch (const std::exception& error) {
        fail(d.name() + ": " + error.what());
    }
}

// The order is random, so that nobody always follows the same neighbour, and every other cycle runs the
// previous one backwards, so that a steady drift of the machine's speed falls on all alike.
void drive_in_turn(const options& o, const drivers& all) {
    const auto cycles = std::max(1L, std::lround(o.seconds * 1000 / o.slice_ms));
    const std::uint64_t slice = nanoseconds(o.seconds / static_cast<double>(cycles));
    std::mt19937 random(std::random_device{}());
    std::vector<driver*> order;
    for (const auto& d : all)
        order.push_back(d.get());
    for (driver* d : order)
        name_in_errors(*d, [&] { d->warm_up(nanoseconds(o.warmup)); });
    for (long cycle = 0; cycle < cycles; ++cycle) {
        if (cycle % 2 == 0)
            std::shuffle(order.begin(), order.end(), random);
        else
            std::reverse(order.begin(), order.end());
        for (driver* d : order) {
            name_in_errors(*d, [&] {
                d->warm_up(ramp);
                d->measure(slice);
            });
        }
    }
}

} // namespace

std::vector<load_result> run_load(const options& o, const std::vector<std::optional<process_meter>>& meters) {
    const pattern bytes(o.size);
    drivers all;
    for (std::size_t i = 0; i < o.servers.size(); ++i)
        all.push_back(std::make_unique<driver>(o, o.servers[i], meters[i], bytes));
    if (all.size() == 1) {
        all.front()->warm_up(nanoseconds(o.warmup));
        all.front()->measure(nanoseconds(o.seconds));
    } else {
        drive_in_turn(o, all);
    }
    std::vector<load_result> results;
    for (const auto& d : all)
        results.push_back(d->finish());
    return results;
}
