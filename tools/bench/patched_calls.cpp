// patched_calls: what a call costs that has nothing to wait for, in ns of CPU time: libc's own, patched on a thread that runs no
// fiber (pass-through), and patched on a fiber.
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <semaphore>
#include <span>
#include <thread>

#include <weft/run.hpp>

namespace {

constexpr int rounds = 9;
constexpr long count = 200'000;

// The functions under test: libc's, or the program's own names for them, which are patched.
struct functions {
    decltype(&::recv) recv;
    decltype(&::send) send;
    decltype(&::read) read;
    decltype(&::write) write;
    decltype(&::poll) poll;
    decltype(&::dup) dup;
    decltype(&::close) close;
    decltype(&::pthread_mutex_lock) mutex_lock;
    decltype(&::pthread_mutex_unlock) mutex_unlock;
    decltype(&::pthread_rwlock_rdlock) read_lock;
    decltype(&::pthread_rwlock_unlock) rwlock_unlock;
    decltype(&::sem_post) sem_post;
    decltype(&::sem_wait) sem_wait;
    decltype(&::pthread_cond_signal) cond_signal;
    decltype(&::pthread_once) once;
};

template <class Function> void find_libcs(Function& function, char const* name) {
    function = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

functions libc() {
    functions all{};
    find_libcs(all.recv, "recv");
    find_libcs(all.send, "send");
    find_libcs(all.read, "read");
    find_libcs(all.write, "write");
    find_libcs(all.poll, "poll");
    find_libcs(all.dup, "dup");
    find_libcs(all.close, "close");
    find_libcs(all.mutex_lock, "pthread_mutex_lock");
    find_libcs(all.mutex_unlock, "pthread_mutex_unlock");
    find_libcs(all.read_lock, "pthread_rwlock_rdlock");
    find_libcs(all.rwlock_unlock, "pthread_rwlock_unlock");
    find_libcs(all.sem_post, "sem_post");
    find_libcs(all.sem_wait, "sem_wait");
    find_libcs(all.cond_signal, "pthread_cond_signal");
    find_libcs(all.once, "pthread_once");
    return all;
}

functions patched() {
    return {&::recv,
            &::send,
            &::read,
            &::write,
            &::poll,
            &::dup,
            &::close,
            &::pthread_mutex_lock,
            &::pthread_mutex_unlock,
            &::pthread_rwlock_rdlock,
            &::pthread_rwlock_unlock,
            &::sem_post,
            &::sem_wait,
            &::pthread_cond_signal,
            &::pthread_once};
}

// What the calls work on. Made anew for each measurement, on a fiber or off it.
struct things {
    things() {
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()) != 0 || ::pipe(pipe.data()) != 0)
            std::perror("patched_calls: socketpair or pipe");
        ::pthread_mutexattr_t attributes;
        ::pthread_mutexattr_init(&attributes);
        ::pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
        ::pthread_mutex_init(&recursive, &attributes);
        ::sem_init(&semaphore, 0, 1);
    }
    things(things const&) = delete;
    things& operator=(things const&) = delete;
    ~things() {
        for (int const fd : {sockets[0], sockets[1], pipe[0], pipe[1]})
            ::close(fd);
    }

    std::array<int, 2> sockets{};
    std::array<int, 2> pipe{};
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_t recursive{};
    pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    sem_t semaphore{};
};

pthread_once_t done_before = PTHREAD_ONCE_INIT;

struct operation {
    char const* name;
    void (*step)(functions const&, things&);
};

constexpr std::array operations{
    operation{"send and recv, a byte over a unix socket",
              [](functions const& call, things& on) {
                  char byte = 0;
                  call.send(on.sockets[0], &byte, 1, 0);
                  call.recv(on.sockets[1], &byte, 1, 0);
              }},
    operation{"write and read, a byte through a pipe",
              [](functions const& call, things& on) {
                  char byte = 0;
                  call.write(on.pipe[1], &byte, 1);
                  call.read(on.pipe[0], &byte, 1);
              }},
    operation{"poll, a socket that is writable",
              [](functions const& call, things& on) {
                  pollfd one{.fd = on.sockets[0], .events = POLLOUT, .revents = 0};
                  call.poll(&one, 1, -1);
              }},
    // The kernel refuses at once, and what the layer adds shows most.
    operation{"recv, of a bad descriptor",
              [](functions const& call, things& /*on*/) {
                  char byte = 0;
                  call.recv(-1, &byte, 1, 0);
              }},
    operation{"dup and close",
              [](functions const& call, things& on) { call.close(call.dup(on.sockets[0])); }},
    operation{"pthread_mutex_lock and unlock",
              [](functions const& call, things& on) {
                  call.mutex_lock(&on.mutex);
                  call.mutex_unlock(&on.mutex);
              }},
    operation{"the same, recursive",
              [](functions const& call, things& on) {
                  call.mutex_lock(&on.recursive);
                  call.mutex_unlock(&on.recursive);
              }},
    operation{"pthread_rwlock_rdlock and unlock",
              [](functions const& call, things& on) {
                  call.read_lock(&on.rwlock);
                  call.rwlock_unlock(&on.rwlock);
              }},
    operation{"sem_post and sem_wait",
              [](functions const& call, things& on) {
                  call.sem_post(&on.semaphore);
                  call.sem_wait(&on.semaphore);
              }},
    operation{"pthread_cond_signal, nobody waits",
              [](functions const& call, things& on) { call.cond_signal(&on.condition); }},
    operation{"pthread_once, done before",
              [](functions const& call, things& /*on*/) { call.once(&done_before, [] {}); }},
};

constexpr std::size_t first_lock = 5; // among the operations

double cpu_nanoseconds() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double measure(operation const& one, functions const& calls) {
    things on;
    one.step(calls, on); // finds the functions
    double const start = cpu_nanoseconds();
    for (long i = 0; i < count; ++i)
        one.step(calls, on);
    return (cpu_nanoseconds() - start) / count;
}

using series = std::array<double, rounds>;

void print(series sorted) {
    std::sort(sorted.begin(), sorted.end());
    std::printf("  %7.1f [%.1f..%.1f]", sorted[rounds / 2], sorted.front(), sorted.back());
}

void measure_all(std::span<operation const> which) {
    functions const own = libc();
    functions const ours = patched();
    for (operation const& one : which) {
        series plain{};
        series off{};
        series on{};
        for (std::size_t i = 0; i < rounds; ++i) {
            plain[i] = measure(one, own);
            off[i] = measure(one, ours);
            weft::run([&] { on[i] = measure(one, ours); });
        }
        std::printf("%-42s", one.name);
        print(plain);
        print(off);
        print(on);
        std::printf("\n");
    }
}

} // namespace

int main() {
    std::printf("ns of CPU time a step, median [least..most] of %d rounds: libc, off fibers, on a fiber\n",
                rounds);
    measure_all(operations);
    // Locks that no other thread can want are cheaper, libc's and ours.
    std::printf("with a second thread in the process:\n");
    std::binary_semaphore end(0);
    std::thread other([&end] { end.acquire(); });
    measure_all(std::span(operations).subspan(first_lock));
    end.release();
    other.join();
}
