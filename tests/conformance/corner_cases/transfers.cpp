// sendfile, splice, tee and vmsplice: from what to what they go, what they wait for, and what they refuse.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdint>
#include <string>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;

namespace {

std::array<char, 64> buffer{};

std::string bytes(std::size_t size) { return std::string(size, 'x'); }

} // namespace

CORNER_CASE(files_to_sockets, .parks = 2) {
    int const file = open_file("file", bytes(16'000'000), O_RDWR);
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        off_t offset = 10;
        TELL(sendfile(one, file, &offset, 100));
        TELL(offset);
        TELL(lseek(file, 0, SEEK_CUR));
        TELL(sendfile(one, file, nullptr, 50));
        TELL(lseek(file, 0, SEEK_CUR));
        TELL(sendfile(one, file, nullptr, 0));
        offset = 15'999'990;
        TELL(sendfile(one, file, &offset, 100));
        TELL(sendfile(one, file, &offset, 100));
        offset = 50'000'000;
        TELL(sendfile(one, file, &offset, 100));
        offset = -1;
        TELL(sendfile(one, file, &offset, 100));
        offset = LONG_MAX;
        TELL(sendfile(one, file, &offset, 100));
        drain(other, 160);
        other_side const reader([peer = other] {
            until_case_waits();
            drain(peer, 16'000'000);
        });
        offset = 0;
        about_to_wait();
        TELL(sendfile(one, file, &offset, 16'000'000));
        TELL(offset);
        TELL(lseek(file, 0, SEEK_SET));
    }
}

CORNER_CASE(absurd_sizes_of_files) {
    int const file = open_file("file", bytes(1000), O_RDWR);
    auto const [one, other] = make_unix_pair();
    for (std::size_t const size : {SIZE_MAX, static_cast<std::size_t>(SSIZE_MAX), std::size_t{INT_MAX}}) {
        off_t offset = 0;
        ssize_t sent = 0;
        TELL(sent = sendfile(one, file, &offset, size));
        TELL(offset);
        drain(other, sent > 0 ? 1000 : 0);
    }
    TELL(sendfile(one, -1, nullptr, 10));
    TELL(sendfile(-1, file, nullptr, 10));
    TELL(sendfile(-1, file, nullptr, 0));
    TELL(sendfile(one, one, nullptr, 0));
    int const written_only = open((own_folder() + "/file").c_str(), O_WRONLY);
    TELL(sendfile(one, written_only, nullptr, 10));
    TELL(sendfile(file, one, nullptr, 10));
    int const appended = open((own_folder() + "/file").c_str(), O_WRONLY | O_APPEND);
    TELL(sendfile(appended, file, nullptr, 10));
    set_nonblocking(one, true);
    fill(one);
    lseek(file, 0, SEEK_SET);
    TELL(sendfile(one, file, nullptr, 10));
    TELL(lseek(file, 0, SEEK_CUR));
    close(other);
    signal(SIGPIPE, SIG_IGN);
    TELL(sendfile(one, file, nullptr, 10));
}

CORNER_CASE(files_to_pipes_and_files) {
    int const file = open_file("file", bytes(1000), O_RDWR);
    int const target = open_file("target", "", O_RDWR);
    auto const [reader, writer] = make_pipe();
    off_t offset = 0;
    TELL(sendfile(target, file, &offset, 500));
    TELL(sendfile(target, file, nullptr, 5000));
    TELL(lseek(target, 0, SEEK_CUR));
    TELL(sendfile(writer, file, &offset, 100));
    TELL(read(reader, buffer.data(), 64));
    TELL(sendfile(writer, reader, nullptr, 10));
    TELL(sendfile(target, reader, nullptr, 10));
    TELL(sendfile(reader, file, nullptr, 10));
    int const zero = open("/dev/zero", O_RDONLY);
    TELL(sendfile(target, zero, nullptr, 100));
    auto const [one, other] = make_unix_pair();
    TELL(sendfile(one, zero, nullptr, 100));
}

CORNER_CASE(file_to_a_full_pipe, .parks = 1) {
    int const file = open_file("file", bytes(1000), O_RDWR);
    auto const [reader, writer] = make_pipe();
    std::size_t const held = fill(writer);
    other_side const taker([=, from = reader] {
        until_case_waits();
        drain(from, held);
    });
    about_to_wait();
    TELL(sendfile(writer, file, nullptr, 1000));
    TELL(lseek(file, 0, SEEK_CUR));
}

CORNER_CASE(file_to_a_socket_with_a_time_limit, .parks = 1) {
    int const file = open_file("file", bytes(3'000'000), O_RDWR);
    auto const [one, other] = make_unix_pair();
    set_timeout(one, SO_SNDTIMEO, 30);
    off_t offset = 0;
    ssize_t const sent = sendfile(one, file, &offset, 3'000'000);
    TELL_FACT(sent > 0 && sent < 3'000'000 && offset == sent);
    fill(one);
    TELL(sendfile(one, file, nullptr, 10));
}

CORNER_CASE(splicing, .parks = 4) {
    auto const [reader, writer] = make_pipe();
    auto const [one, other] = make_unix_pair();
    {
        other_side const feeder([peer = other, to = writer] {
            until_case_waits();
            put(peer, "abcd");
            until_case_waits();
            put(to, "ef");
        });
        about_to_wait();
        TELL(splice(one, nullptr, writer, nullptr, 100, 0));
        TELL(splice(reader, nullptr, one, nullptr, 3, 0));
        TELL(recv(other, buffer.data(), 64, 0));
        TELL(splice(reader, nullptr, one, nullptr, 3, SPLICE_F_MORE));
        about_to_wait();
        TELL(splice(reader, nullptr, one, nullptr, 100, 0));
        TELL(recv(other, buffer.data(), 64, 0));
    }
    TELL(splice(reader, nullptr, one, nullptr, 100, SPLICE_F_NONBLOCK));
    std::size_t const held = fill(one);
    put(writer, "xyz");
    set_nonblocking(one, true);
    TELL(splice(reader, nullptr, one, nullptr, 100, 0));
    set_nonblocking(one, false);
    {
        other_side const taker([=, peer = other] {
            until_case_waits();
            drain(peer, held);
        });
        about_to_wait();
        TELL(splice(reader, nullptr, one, nullptr, 100, 0));
    }
    other_side const closer([to = writer] {
        until_case_waits();
        close(to);
    });
    about_to_wait();
    TELL(splice(reader, nullptr, one, nullptr, 100, 0));
    close(other);
    TELL(splice(one, nullptr, reader, nullptr, 100, 0));
}

CORNER_CASE(splicing_between_pipes, .parks = 3) {
    auto const [r1, w1] = make_pipe();
    auto const [r2, w2] = make_pipe();
    std::size_t const held = fill(w2);
    std::atomic<bool> drained{false};
    other_side const helper([&, held, from = r2, to = w1] {
        until_case_waits();
        put(to, "abcd");
        until_case_waits();
        drain(from, held);
        drained = true;
        until_case_waits();
        close(to);
    });
    TELL(splice(r1, nullptr, w2, nullptr, 10, SPLICE_F_NONBLOCK));
    about_to_wait();
    char byte = 0;
    TELL(read(r1, &byte, 1));
    about_to_wait();
    TELL(splice(r1, nullptr, w2, nullptr, 10, 0));
    while (!drained)
        let_others_run();
    TELL(splice(r1, nullptr, w1, nullptr, 10, 0));
    TELL(tee(r2, w1, 10, SPLICE_F_NONBLOCK));
    TELL(tee(r1, w2, 2, 0));
    TELL(tee(r1, w1, 2, 0));
    drain(r1, 3);
    about_to_wait();
    TELL(tee(r1, w2, 2, 0));
    TELL(tee(r1, w2, 2, SPLICE_F_NONBLOCK));
}

CORNER_CASE(splicing_files) {
    int const file = open_file("file", bytes(1000), O_RDWR);
    auto const [reader, writer] = make_pipe();
    off_t offset = 5;
    TELL(splice(file, &offset, writer, nullptr, 100, 0));
    TELL(offset);
    TELL(splice(file, nullptr, writer, nullptr, 100, 0));
    TELL(lseek(file, 0, SEEK_CUR));
    TELL(splice(reader, nullptr, file, &offset, 50, 0));
    TELL(offset);
    offset = 995;
    TELL(splice(file, &offset, writer, nullptr, 100, 0));
    TELL(splice(file, &offset, writer, nullptr, 100, 0));
    offset = -1;
    TELL(splice(file, &offset, writer, nullptr, 100, 0));
    TELL(splice(file, nullptr, writer, &offset, 100, 0));
    TELL(splice(file, nullptr, writer, nullptr, 100, 0x77));
    TELL(splice(file, nullptr, file, nullptr, 100, 0));
    TELL(splice(file, nullptr, file, nullptr, 0, 0));
    TELL(splice(-1, nullptr, writer, nullptr, 100, 0));
    TELL(splice(file, nullptr, -1, nullptr, 100, 0));
    TELL(splice(-1, nullptr, -1, nullptr, 0, 0));
    TELL(splice(writer, nullptr, reader, nullptr, 100, 0));
    TELL(splice(writer, nullptr, file, nullptr, 100, 0));
    TELL(splice(file, nullptr, reader, nullptr, 100, 0));
    for (std::size_t const size : {SIZE_MAX, static_cast<std::size_t>(SSIZE_MAX)}) {
        offset = 0;
        ssize_t sent = 0;
        TELL(sent = splice(file, &offset, writer, nullptr, size, 0));
        drain(reader, sent > 0 ? 1000 : 0);
    }
    int const appended = open((own_folder() + "/file").c_str(), O_WRONLY | O_APPEND);
    TELL(splice(reader, nullptr, appended, nullptr, 10, 0));
    TELL(tee(file, writer, 10, 0));
    TELL(tee(reader, file, 10, 0));
    TELL(tee(-1, writer, 10, 0));
    TELL(tee(-1, -1, 0, 0));
    TELL(tee(reader, writer, 10, 0x77));
    signal(SIGPIPE, SIG_IGN);
    auto const [r2, w2] = make_pipe();
    close(r2);
    put(writer, "abc");
    TELL(splice(reader, nullptr, w2, nullptr, 10, 0));
    TELL(tee(reader, w2, 10, 0));
}

CORNER_CASE(splicing_memory, .parks = 2) {
    auto const [reader, writer] = make_pipe();
    std::string text = "abcdefgh";
    iovec parts[2] = {{text.data(), 3}, {text.data() + 3, 5}};
    TELL(vmsplice(writer, parts, 2, 0));
    TELL(read(reader, buffer.data(), 64));
    TELL(vmsplice(writer, parts, 0, 0));
    TELL(vmsplice(writer, parts, SIZE_MAX, 0));
    TELL(vmsplice(writer, parts, IOV_MAX + 1, 0));
    TELL(vmsplice(writer, parts, 2, 0x77));
    TELL(vmsplice(-1, parts, 2, 0));
    TELL(vmsplice(-1, parts, 0, 0));
    auto const [one, other] = make_unix_pair();
    TELL(vmsplice(one, parts, 2, 0));
    iovec const wrong{text.data(), SIZE_MAX};
    TELL(vmsplice(writer, &wrong, 1, 0));
    TELL(vmsplice(reader, parts, 2, SPLICE_F_NONBLOCK));
    other_side const helper([to = writer, from = reader] {
        until_case_waits();
        put(to, "ijk");
        until_case_waits();
        drain(from, 65536);
    });
    about_to_wait();
    TELL(vmsplice(reader, parts, 2, 0));
    say("%s", text.c_str());
    fill(writer);
    TELL(vmsplice(writer, parts, 2, SPLICE_F_NONBLOCK));
    about_to_wait();
    TELL(vmsplice(writer, parts, 1, 0)); // of two, one goes if there is room for no more yet
}
