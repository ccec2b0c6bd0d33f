// raw_epoll_echo: the floor that every other echo server is measured against.
//
// One thread, one epoll instance, no memory per connection except for one whose peer does not read. Per event
// it makes the calls that no echo server can save: recv, then send. What another server costs beyond that
// is its own.
//
//   level (default)  one recv and one send per event; epoll reports again whatever was left unread.
//   --edge           one edge-triggered registration for the life of the connection. After a short read the
//                    socket is known drained, so recv is not called again before the next event.
//
// What always holds: bytes go back in order and none is lost. While a peer leaves its answer unread, nothing
// more is read from it. At end of stream everything received has been answered, then the connection is
// closed.

#ifndef _GNU_SOURCE
#define _GNU_SOURCE // accept4
#endif
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { buffer_size = 64 * 1024, batch_size = 256 };

// The part of an answer that the socket did not take yet.
struct rest {
    size_t begin;
    size_t end;
    char bytes[];
};

struct connection {
    struct rest* rest; // null (nearly always) when nothing is left to send
};

enum send_result { sent_all, must_wait, broken };

static int epoll_fd;
static char buffer[buffer_size];       // shared: between two events no connection has bytes in it
static struct connection* connections; // by descriptor
static size_t connections_size;

static void die(const char* what) {
    fprintf(stderr, "raw_epoll_echo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(int operation, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    if (epoll_ctl(epoll_fd, operation, fd, &event) != 0)
        die("epoll_ctl");
}

static void close_connection(int fd) {
    free(connections[fd].rest);
    connections[fd].rest = NULL;
    close(fd);
}

static bool is_transient(int error) { return error == EAGAIN || error == EINTR; }

// Sends a fresh answer; keeps what the socket does not take.
static enum send_result send_answer(int fd, const char* data, size_t size) {
    ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
    if (n == (ssize_t)size)
        return sent_all;
    if (n < 0) {
        if (!is_transient(errno))
            return broken;
        n = 0;
    }
    const size_t left = size - (size_t)n;
    struct rest* rest = malloc(sizeof *rest + left);
    if (!rest)
        die("malloc");
    rest->begin = 0;
    rest->end = left;
    memcpy(rest->bytes, data + n, left);
    connections[fd].rest = rest;
    return must_wait;
}

// Sends on what an earlier call kept.
static enum send_result send_rest(int fd) {
    struct rest* rest = connections[fd].rest;
    const ssize_t n = send(fd, rest->bytes + rest->begin, rest->end - rest->begin, MSG_NOSIGNAL);
    if (n < 0)
        return is_transient(errno) ? must_wait : broken;
    rest->begin += (size_t)n;
    if (rest->begin < rest->end)
        return must_wait;
    free(rest);
    connections[fd].rest = NULL;
    return sent_all;
}

static void serve_level(int fd) {
    if (connections[fd].rest) {
        const enum send_result result = send_rest(fd);
        if (result == broken)
            close_connection(fd);
        if (result == sent_all)
            watch(EPOLL_CTL_MOD, fd, EPOLLIN);
        return;
    }
    const ssize_t n = recv(fd, buffer, buffer_size, 0);
    if (n <= 0) {
        if (n == 0 || !is_transient(errno))
            close_connection(fd);
        return;
    }
    const enum send_result result = send_answer(fd, buffer, (size_t)n);
    if (result == broken)
        close_connection(fd);
    if (result == must_wait)
        watch(EPOLL_CTL_MOD, fd, EPOLLOUT); // and not EPOLLIN: read no further
}

static void serve_edge(int fd, uint32_t events) {
    // An end of stream or an error that is already there brings no further edge: then read on to meet it.
    const bool ending = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (connections[fd].rest) {
        const enum send_result result = send_rest(fd);
        if (result == broken)
            close_connection(fd);
        if (result != sent_all)
            return;
        // The edge for input that arrived meanwhile is spent: read now.
    } else if (!ending && !(events & EPOLLIN)) {
        return; // the socket became writable, which a new one does at once
    }
    for (;;) {
        const ssize_t n = recv(fd, buffer, buffer_size, 0);
        if (n <= 0) {
            if (n < 0 && errno == EINTR)
                continue;
            if (n == 0 || errno != EAGAIN)
                close_connection(fd);
            return;
        }
        const enum send_result result = send_answer(fd, buffer, (size_t)n);
        if (result == broken)
            close_connection(fd);
        if (result != sent_all)
            return;
        if (n < buffer_size && !ending)
            return;
    }
}

static void make_room_for(int fd) {
    const size_t needed = (size_t)fd + 1;
    if (needed <= connections_size)
        return;
    const size_t grown = needed * 2;
    connections = realloc(connections, grown * sizeof *connections);
    if (!connections)
        die("realloc");
    memset(connections + connections_size, 0, (grown - connections_size) * sizeof *connections);
    connections_size = grown;
}

static void accept_all(int listener, uint32_t events) {
    for (;;) {
        const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN)
                return;
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            die("accept4"); // out of descriptors or memory: the figures of such a run mean nothing
        }
        make_room_for(fd);
        watch(EPOLL_CTL_ADD, fd, events);
    }
}

// Splits HOST:PORT in place; [HOST]:PORT for an IPv6 address. Returns the port, or null.
static char* split_endpoint(char** host) {
    char* colon = strrchr(*host, ':');
    if (!colon || colon == *host || colon[1] == '\0')
        return NULL;
    *colon = '\0';
    if (**host == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        ++*host;
    }
    return colon + 1;
}

static int listen_on(const char* host, const char* port) {
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo* address;
    const int error = getaddrinfo(host, port, &hints, &address);
    if (error != 0) {
        fprintf(stderr, "raw_epoll_echo: %s:%s: %s\n", host, port, gai_strerror(error));
        exit(1);
    }
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0)
        die("bind");
    if (listen(fd, SOMAXCONN) != 0)
        die("listen");
    freeaddrinfo(address);
    return fd;
}

static void announce(int listener) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    if (getsockname(listener, (struct sockaddr*)&address, &size) != 0)
        die("getsockname");
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getnameinfo((struct sockaddr*)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        die("getnameinfo");
    printf(address.ss_family == AF_INET6 ? "listening on [%s]:%s\n" : "listening on %s:%s\n", host, port);
    fflush(stdout);
}

// The process holds nothing that the kernel does not release by itself, so leaving right here is a clean
// stop, and the loop needs no check.
static void on_stop_signal(int number) {
    (void)number;
    _exit(0);
}

static void print_usage(FILE* out) {
    fputs("usage: raw_epoll_echo [--listen HOST:PORT] [--edge]\n"
          "  --listen HOST:PORT  where to accept (default 127.0.0.1:7000; port 0: any free one)\n"
          "  --edge              edge-triggered registrations with the short-read rule\n",
          out);
}

int main(int argc, char** argv) {
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
                                            {"edge", no_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    char default_endpoint[] = "127.0.0.1:7000";
    char* host = default_endpoint;
    bool edge = false;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l') {
            host = optarg;
        } else if (option == 'e') {
            edge = true;
        } else {
            print_usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    char* port = split_endpoint(&host);
    if (!port || optind != argc) {
        print_usage(stderr);
        return 2;
    }

    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    struct sigaction action = {.sa_handler = on_stop_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");
    const int listener = listen_on(host, port);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    announce(listener);

    const uint32_t edge_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET;
    struct epoll_event events[batch_size];
    for (;;) {
        const int count = epoll_wait(epoll_fd, events, batch_size, -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; ++i) {
            const int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(listener, edge ? edge_events : EPOLLIN);
            else if (edge)
                serve_edge(fd, events[i].events);
            else
                serve_level(fd);
        }
    }
}
