#include "service.hpp"

#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <list>
#include <memory>

#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>

#include <fmt/format.h>

#include <weft/fiber.hpp>
#include <weft/patch.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>

#include "log.hpp"

namespace weft::services {
namespace {

// Descriptors that aren't connections: the standard streams, listeners, each worker's epoll and eventfd, some spare.
constexpr std::size_t other_descriptors = 64;

std::size_t raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

// SIGINT and SIGTERM as a descriptor that a fiber reads. Blocked in all threads, made before there are others.
class termination {
public:
    termination() {
        sigemptyset(&signals_);
        sigaddset(&signals_, SIGINT);
        sigaddset(&signals_, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
        fd_ = ::signalfd(-1, &signals_, SFD_CLOEXEC);
    }
    termination(termination const&) = delete;
    termination& operator=(termination const&) = delete;
    ~termination() { close(); }

    // The signal that came, waiting for it; 0 after close().
    [[nodiscard]] int wait() const noexcept {
        signalfd_siginfo info{};
        return ::read(fd_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
    }

    // From now on these signals end the process, as they do by default.
    void close() noexcept {
        if (fd_ < 0)
            return;
        ::close(std::exchange(fd_, -1));
        pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
    }

private:
    sigset_t signals_{};
    int fd_ = -1;
};

// Tells of a shortage of descriptors, not of each accept that meets it.
class shortage_log {
public:
    explicit shortage_log(std::string name) : name_(std::move(name)) {}

    void operator()(net::error_code error, std::chrono::milliseconds pause) {
        time_point const now = clock::now();
        if (now < next_)
            return;
        next_ = now + std::chrono::minutes(1);
        log_line(
            "{}: cannot accept: {}; trying again in {} ms and then less often (more descriptors: ulimit -n)",
            name_, error.message(), pause.count());
    }

private:
    std::string name_;
    time_point next_ = time_point::min();
};

class running_service {
public:
    running_service(service const& what, std::size_t limit)
        : what_(what),
          connections_(what.name, limit),
          acceptors_(net::acceptor::for_workers(what.listen, worker_count(),
                                                {.on_shortage = shortage_log(what.name)})) {}

    void start() {
        for (std::size_t worker = 0; worker < acceptors_.size(); ++worker)
            post(worker, [this, worker] {
                what_.accept_loop(acceptors_[worker], connections_);
                loops_ended_.release();
            });
    }

    void stop_accepting() noexcept {
        for (net::acceptor& each : acceptors_)
            each.stop();
    }

    // After stop_accepting(): waits until no accept loop is left that would use this.
    void join_accept_loops() noexcept {
        for (std::size_t left = acceptors_.size(); left > 0; --left)
            loops_ended_.acquire();
    }

    connections& open() noexcept { return connections_; }

    void announce(bool with_try_line) const {
        net::endpoint const where = acceptors_.front().local_endpoint();
        if (with_try_line)
            fmt::print("{:<6} listening on {:<22} try: {}\n", what_.name, where.to_string(),
                       what_.try_line(where));
        else
            fmt::print("listening on {}\n", where.to_string());
    }

private:
    service const& what_;
    connections connections_;
    std::vector<net::acceptor> acceptors_;
    semaphore loops_ended_{0};
};

void drain(std::list<running_service>& running, std::chrono::milliseconds limit) {
    std::size_t open = 0;
    for (running_service& each : running) {
        each.stop_accepting();
        open += each.open().count();
    }
    if (open != 0)
        log_line(
            "stopping: {} connections are open, and have {:.3g} s to finish; another signal ends them now",
            open, std::chrono::duration<double>(limit).count());
    time_point const deadline = deadline_after(limit);
    for (running_service& each : running)
        if (std::size_t const cut = each.open().drain(deadline); cut != 0)
            log_line("{}: closed {} connections that had not finished", each.open().name(), cut);
    for (running_service& each : running)
        each.join_accept_loops();
}

void serve(std::vector<service> const& services, host_options const& options, std::size_t limit,
           termination& signals) {
    std::list<running_service> running;
    for (service const& each : services)
        running.emplace_back(each, limit);
    for (running_service& each : running)
        each.start();
    for (running_service const& each : running)
        each.announce(options.show_try_lines);
    if (options.show_try_lines)
        fmt::print("Ctrl-C stops.\n");
    std::fflush(stdout);
    static_cast<void>(signals.wait());
    auto impatient = spawn({.name = "second signal", .stack_size = 0}, [&signals] {
        if (int const signal = signals.wait())
            ::_exit(128 + signal);
    });
    drain(running, options.drain);
    signals.close();
}

// What a server that can't listen says, and what its user can do.
std::string explain(boost::system::system_error const& error) {
    std::string text = error.what();
    text.resize(std::min(text.find(" [system:"), text.size()));
    if (error.code() == boost::system::errc::address_in_use)
        text += "; stop the server that listens there, or choose another address with --listen";
    else if (error.code() == boost::system::errc::permission_denied)
        text += "; choose a port from 1024 up, or a path that you may write, with --listen";
    else if (error.code() == boost::system::errc::address_not_available)
        text += "; this machine has no such address: choose another with --listen";
    return text;
}

} // namespace

int host(std::vector<service> const& services, host_options const& options) {
    std::size_t const descriptors = raise_descriptor_limit();
    std::size_t const most =
        descriptors > 2 * other_descriptors ? descriptors - other_descriptors : other_descriptors;
    std::size_t const limit = options.max_connections != 0 ? options.max_connections : most;
    // A peer that is gone shows as EPIPE.
    std::signal(SIGPIPE, SIG_IGN);
    termination signals;
    try {
        patch();
        run_options run_with;
        run_with.workers = options.workers;
        return weft::run([&] { serve(services, options, limit, signals); }, run_with);
    } catch (boost::system::system_error const& e) {
        log_line("{}", explain(e));
    } catch (std::exception const& e) {
        log_line("{}", e.what());
    }
    return 1;
}

} // namespace weft::services
