#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <boost/asio/error.hpp>

#include <weft/detail/fiber_core.hpp>
#include <weft/detail/park.hpp>
#include <weft/net/acceptor.hpp>

#include "descriptor.hpp"
#include "io.hpp"
#include "last_error.hpp"

namespace weft::net {
namespace {

namespace io = weft::detail::io;

// Closed on the way out, unless released.
class new_socket {
public:
    explicit new_socket(endpoint const& local)
        : local_(local), fd_(io::open_own_socket(local.family(), SOCK_STREAM)) {
        if (fd_ < 0)
            fail();
        if (!local.is_unix())
            set(SO_REUSEADDR);
    }
    new_socket(new_socket const&) = delete;
    new_socket& operator=(new_socket const&) = delete;
    ~new_socket() {
        if (fd_ >= 0)
            io::close(fd_);
    }

    void set(int option) const {
        int const on = 1;
        if (::setsockopt(fd_, SOL_SOCKET, option, &on, sizeof on) != 0)
            fail();
    }

    [[nodiscard]] bool bind() const noexcept { return ::bind(fd_, local_.address(), local_.length()) == 0; }

    void listen(int backlog) const {
        if (::listen(fd_, backlog) != 0)
            fail();
    }

    [[noreturn]] void fail() const {
        throw boost::system::system_error(detail::last_error(), "cannot listen on " + local_.to_string());
    }

    [[nodiscard]] int get() const noexcept { return fd_; }
    int release() noexcept { return std::exchange(fd_, -1); }

private:
    endpoint const& local_;
    int fd_;
};

// A unix socket's path that a server left behind when it died: nobody answers.
bool is_stale(endpoint const& local) noexcept {
    struct stat status {};
    if (::lstat(local.path().c_str(), &status) != 0 || !S_ISSOCK(status.st_mode))
        return false;
    int const fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool const refused = ::connect(fd, local.address(), local.length()) != 0 && errno == ECONNREFUSED;
    io::close(fd);
    return refused;
}

void bind(new_socket const& socket, endpoint const& local) {
    if (socket.bind())
        return;
    int const error = errno;
    if (error == EADDRINUSE && local.is_unix() && is_stale(local) && ::unlink(local.path().c_str()) == 0 &&
        socket.bind())
        return;
    errno = error;
    socket.fail();
}

endpoint name_of(int fd) noexcept {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0)
        return {};
    return {reinterpret_cast<sockaddr const*>(&address), length};
}

} // namespace

acceptor::acceptor(endpoint const& local, acceptor_options options) : options_(std::move(options)) {
    new_socket socket(local);
    bind(socket, local);
    socket.listen(options_.backlog);
    struct stat status {};
    if (local.is_unix() && ::stat(local.path().c_str(), &status) == 0) {
        path_ = local.path();
        path_device_ = status.st_dev;
        path_inode_ = status.st_ino;
    }
    fd_ = socket.release();
}

std::vector<acceptor> acceptor::for_workers(endpoint const& local, std::size_t count,
                                            acceptor_options const& options) {
    std::vector<acceptor> all;
    if (count <= 1 || local.is_unix()) {
        all.emplace_back(local, options);
        int const first = all.front().fd_;
        while (all.size() < count) {
            acceptor copy;
            copy.fd_ = ::fcntl(first, F_DUPFD_CLOEXEC, 0);
            if (copy.fd_ < 0)
                throw boost::system::system_error(detail::last_error(),
                                                  "cannot listen on " + local.to_string());
            weft::detail::descriptor_duplicated(first, copy.fd_);
            copy.options_ = options;
            all.push_back(std::move(copy));
        }
        return all;
    }
    // With SO_REUSEPORT alone we would silently share the port with another server of the same user.
    new_socket probe(local);
    bind(probe, local);
    endpoint const chosen = name_of(probe.get());
    probe.set(SO_REUSEPORT);
    for (std::size_t i = 0; i < count; ++i) {
        new_socket socket(chosen);
        socket.set(SO_REUSEPORT);
        bind(socket, chosen);
        acceptor one;
        one.options_ = options;
        one.fd_ = socket.release();
        all.push_back(std::move(one));
    }
    // All or none: a connection that comes now must find every one listening.
    for (acceptor const& each : all)
        if (::listen(each.fd_, options.backlog) != 0)
            throw boost::system::system_error(detail::last_error(), "cannot listen on " + local.to_string());
    return all;
}

acceptor::acceptor(acceptor&& other) noexcept { swap(other); }

acceptor& acceptor::operator=(acceptor&& other) noexcept {
    acceptor(std::move(other)).swap(*this);
    return *this;
}

void acceptor::swap(acceptor& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(path_, other.path_);
    std::swap(path_device_, other.path_device_);
    std::swap(path_inode_, other.path_inode_);
    std::swap(options_, other.options_);
    std::swap(policy_, other.policy_);
}

tcp_stream acceptor::accept(error_code& error) noexcept {
    error.clear();
    if (weft::detail::current_fiber == nullptr) {
        error = boost::asio::error::operation_not_supported;
        return {};
    }
    for (;;) {
        int const fd = io::accept(fd_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd >= 0) {
            succeeded();
            return tcp_stream(fd);
        }
        int const number = errno;
        if (recover(number))
            continue;
        bool const closed = number == EBADF || number == EINVAL;
        error = closed ? error_code(boost::asio::error::operation_aborted)
                       : error_code(number, boost::system::system_category());
        return {};
    }
}

bool acceptor::recover(int error) noexcept {
    switch (policy_.failed(error)) {
    case accept_action::go_on: return true;
    case accept_action::back_off:
        if (policy_.shortage_begins() && options_.on_shortage)
            options_.on_shortage(error_code(error, boost::system::system_category()), policy_.pause());
        weft::detail::sleep_until({"accept, backing off", fd_}, deadline_after(policy_.pause()),
                                  weft::detail::interruption::none, weft::detail::cancellation::heeded);
        return true;
    case accept_action::stop: break;
    }
    return false;
}

tcp_stream acceptor::accept() {
    error_code error;
    tcp_stream stream = accept(error);
    if (error) {
        this_fiber::check_cancelled();
        throw boost::system::system_error(error, "accept");
    }
    return stream;
}

void acceptor::stop() noexcept { ::shutdown(fd_, SHUT_RDWR); }

void acceptor::close() noexcept {
    if (fd_ >= 0)
        io::close(std::exchange(fd_, -1));
    if (path_.empty())
        return;
    std::string const path = std::exchange(path_, {});
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && status.st_dev == path_device_ && status.st_ino == path_inode_)
        ::unlink(path.c_str());
}

endpoint acceptor::local_endpoint() const noexcept { return name_of(fd_); }

} // namespace weft::net
