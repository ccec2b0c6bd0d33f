// What a user's first program does: blocking POSIX calls on fibers, patched by linking weft::weft.
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include <weft/weft.hpp>

int main() {
    weft::patch(); // throws if a call is not weft's
    return weft::run([] {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
            return 1;
        auto peer = weft::spawn([fd = ends[1]] {
            char buffer[16];
            ssize_t const count = recv(fd, buffer, sizeof buffer, 0); // waits: nothing was sent yet
            send(fd, buffer, static_cast<size_t>(count), 0);
            close(fd);
        });
        weft::this_fiber::yield();
        char answer[16];
        send(ends[0], "hello", 5, 0);
        bool const echoed =
            recv(ends[0], answer, sizeof answer, 0) == 5 && std::memcmp(answer, "hello", 5) == 0;
        close(ends[0]);
        return echoed ? 0 : 1;
    });
}
