// Descriptors of all kinds, ready to be used; and what fills and empties them.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <string>

namespace corner {

// What is open above it is not the case's own: the file by which its state is seen, what weft keeps.
constexpr unsigned highest_of_a_case = 799;

// Two ends that are connected; of a pipe, the first one is read.
struct two_ends {
    int first = -1;
    int second = -1;
};

two_ends make_pipe();
two_ends make_unix_pair(int type = SOCK_STREAM);
two_ends make_tcp_pair();
two_ends make_udp_pair();
two_ends make_terminal(); // first: the master, second: the slave, raw

// A listening TCP socket on loopback, and a plain connection to it (-1 with errno).
int make_listener(int backlog = 8);
int connect_to(int listener);
int start_connecting_to(int listener); // non-blocking

// An address of the abstract unix namespace that nobody else has.
struct unix_address {
    unix_address();
    [[nodiscard]] sockaddr const* get() const { return reinterpret_cast<sockaddr const*>(&storage); }
    sockaddr_storage storage{};
    socklen_t length = 0;
};

// A folder of the case's own, removed at exit, and a file there with these bytes.
std::string const& own_folder();
std::string make_file(std::string const& name, std::string const& bytes);
int open_file(std::string const& name, std::string const& bytes, int flags);

// Until nothing more goes in; by calls that don't wait. Returns how many bytes went.
std::size_t fill(int fd);

// Takes `size` bytes out, waiting for them, by raw system calls.
void drain(int fd, std::size_t size);

void put(int fd, std::string const& bytes); // all of it, by raw system calls
void set_nonblocking(int fd, bool on);
void set_timeout(int fd, int option, int milliseconds);

} // namespace corner
