// Regular files: opening, reading and writing at positions, and locks, by one process and by two.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;

namespace {

std::array<char, 64> buffer{};

unsigned mode_of(int fd) {
    struct stat status {};
    return fstat(fd, &status) == 0 ? status.st_mode & 07777U : 0;
}

void tell_opened(char const* what, int fd) {
    int const error = errno;
    if (fd < 0)
        say("%s: %s", what, error_name(error));
    else
        say("%s: mode %o, flags %#x, descriptor flags %d", what, mode_of(fd),
            static_cast<unsigned>(fcntl(fd, F_GETFL)), fcntl(fd, F_GETFD));
}
#define OPEN(...) tell_opened(#__VA_ARGS__, __VA_ARGS__)

void tell_position(int fd) { TELL(lseek(fd, 0, SEEK_CUR)); }

struct flock whole_file(short type) {
    struct flock section {};
    section.l_type = type;
    section.l_whence = SEEK_SET;
    return section;
}

// A process that holds a lock until it is let go.
class holder {
public:
    // `lock` runs in the child.
    template <class Lock> explicit holder(Lock lock) {
        auto const [ready_reader, ready_writer] = make_pipe();
        auto const [end_reader, end_writer] = make_pipe();
        child_ = fork();
        if (child_ == 0) {
            lock();
            syscall(SYS_close, end_writer);
            syscall(SYS_write, ready_writer, "", 1L);
            char byte = 0;
            syscall(SYS_read, end_reader, &byte, 1L);
            _exit(0);
        }
        syscall(SYS_close, end_reader);
        char byte = 0;
        syscall(SYS_read, ready_reader, &byte, 1L);
        let_go_ = end_writer;
    }
    holder(holder const&) = delete;
    holder& operator=(holder const&) = delete;
    ~holder() {
        let_go();
        syscall(SYS_wait4, child_, nullptr, 0, nullptr);
    }

    void let_go() {
        if (let_go_ >= 0)
            syscall(SYS_close, let_go_);
        let_go_ = -1;
    }

private:
    pid_t child_ = -1;
    int let_go_ = -1;
};

} // namespace

CORNER_CASE(open_modes) {
    umask(022);
    std::string const& folder = own_folder();
    std::string const fresh = folder + "/fresh";
    char const* const name = fresh.c_str();
    OPEN(open(name, O_RDONLY));
    OPEN(open(name, O_CREAT | O_RDWR, 0666));
    OPEN(open(name, O_CREAT | O_EXCL | O_RDWR, 0666));
    OPEN(open(name, O_RDWR | O_APPEND | O_NONBLOCK | O_CLOEXEC));
    OPEN(open(folder.c_str(), O_TMPFILE | O_RDWR, 0640));
    OPEN(openat(AT_FDCWD, folder.c_str(), O_TMPFILE | O_WRONLY, 0604));
    OPEN(open(folder.c_str(), O_TMPFILE | O_RDONLY, 0600));
    OPEN(open(folder.c_str(), O_RDONLY | O_DIRECTORY));
    OPEN(open(folder.c_str(), O_RDWR));
    OPEN(open(name, O_DIRECTORY));
    OPEN(open(name, O_PATH));
    OPEN(open(name, 3));
    OPEN(open("", O_RDONLY));
    OPEN(open((name + std::string("/x")).c_str(), O_RDONLY));
    OPEN(open(std::string(5000, 'x').c_str(), O_RDONLY));
    OPEN(creat((folder + "/created").c_str(), 04751));
    OPEN(creat("/no/such/folder", 0600));
    REQUIRE(symlink("fresh", (folder + "/link").c_str()) == 0 &&
            symlink("round", (folder + "/round").c_str()) == 0);
    OPEN(open((folder + "/link").c_str(), O_RDONLY | O_NOFOLLOW));
    OPEN(open((folder + "/link").c_str(), O_RDONLY));
    OPEN(open((folder + "/round").c_str(), O_RDONLY));
    int const at = open(folder.c_str(), O_RDONLY | O_DIRECTORY);
    OPEN(openat(at, "fresh", O_RDONLY));
    OPEN(openat(at, "newer", O_CREAT | O_WRONLY, 0700));
    OPEN(openat(-1, "fresh", O_RDONLY));
    OPEN(openat(-1, name, O_RDONLY));
    OPEN(openat(open(name, O_RDONLY), "fresh", O_RDONLY));
    OPEN(open("/proc/self/exe", O_RDWR | O_NOFOLLOW));
    OPEN(open("/dev/no-such-thing", O_RDWR));
    OPEN(open("/dev/null", O_RDWR | O_TRUNC));
    // Which number it gets.
    int const first = open("/dev/null", O_RDONLY);
    int const second = open("/dev/null", O_RDONLY);
    close(first);
    TELL(open("/dev/null", O_RDONLY) - first);
    TELL(open("/dev/null", O_RDONLY) - second);
}

CORNER_CASE(opening_fifos, .parks = 2) {
    std::string const path = own_folder() + "/fifo";
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    OPEN(open(path.c_str(), O_WRONLY | O_NONBLOCK));
    int const reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
    OPEN(open(path.c_str(), O_WRONLY | O_NONBLOCK));
    TELL(read(reader, buffer.data(), 8));
    OPEN(open(path.c_str(), O_RDWR));
    OPEN(open(path.c_str(), O_PATH));
    close_range(3, highest_of_a_case, 0);
    std::string const link = own_folder() + "/link";
    REQUIRE(symlink("fifo", link.c_str()) == 0);
    OPEN(open(link.c_str(), O_RDONLY | O_NOFOLLOW));
    int writer = -1;
    other_side const peer([&] {
        until_case_waits();
        // There is a reader only once the other open has begun, which may be on another thread.
        while ((writer =
                    static_cast<int>(syscall(SYS_openat, AT_FDCWD, path.c_str(), O_WRONLY | O_NONBLOCK))) < 0)
            let_others_run();
        put(writer, "abc");
        until_case_waits();
        syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK);
    });
    int fd = -1;
    about_to_wait();
    OPEN(fd = open(path.c_str(), O_RDONLY));
    TELL(read(fd, buffer.data(), 8));
    set_nonblocking(fd, true);
    TELL(read(fd, buffer.data(), 8));
    close(writer);
    close(fd);
    about_to_wait();
    OPEN(fd = open(link.c_str(), O_WRONLY | O_CLOEXEC));
    TELL(write(fd, "abc", 3));
    // Where another has both ends, it doesn't wait.
    OPEN(open(path.c_str(), O_RDONLY));
    OPEN(openat(AT_FDCWD, path.c_str(), O_CREAT | O_WRONLY, 0600));
}

CORNER_CASE(reading_files, .parks_with_files = 0) {
    int const fd = open_file("file", "abcdefghij", O_RDWR);
    TELL(read(fd, buffer.data(), 0));
    TELL(read(fd, buffer.data(), 4));
    TELL(read(fd, buffer.data(), 64));
    TELL(read(fd, buffer.data(), 64));
    tell_position(fd);
    TELL(lseek(fd, 3, SEEK_SET));
    iovec const parts[3] = {{buffer.data(), 2}, {buffer.data(), 0}, {buffer.data() + 2, 60}};
    TELL(readv(fd, parts, 3));
    TELL(readv(fd, parts, 3));
    TELL(pread(fd, buffer.data(), 4, 8));
    TELL(pread(fd, buffer.data(), 4, 10));
    TELL(pread(fd, buffer.data(), 4, -1));
    TELL(pread(fd, buffer.data(), 4, LONG_MAX));
    TELL(pread(fd, buffer.data(), 0, 0));
    TELL(preadv(fd, parts, 3, 1));
    TELL(preadv(fd, parts, 3, -1));
    TELL(preadv(fd, parts, 3, LONG_MIN));
    TELL(lseek(fd, 1, SEEK_SET));
    TELL(preadv2(fd, parts, 3, -1, 0));
    TELL(preadv2(fd, parts, 3, 2, 0));
    TELL(preadv2(fd, parts, 3, -2, 0));
    TELL(preadv2(fd, parts, 3, 2, RWF_HIPRI));
    TELL(preadv2(fd, parts, 3, 2, 0x4000));
    TELL(preadv2(fd, parts, 3, -1, 0x4000));
    TELL(preadv2(fd, parts, 3, 0, RWF_NOWAIT) != -1 || errno == EOPNOTSUPP);
    TELL(preadv2(fd, parts, 0, -1, 0));
    TELL(preadv2(fd, parts, -1, -1, 0));
    tell_position(fd);
    TELL(readv(fd, parts, 0));
    TELL(readv(fd, parts, -1));
    TELL(readv(fd, parts, IOV_MAX + 1));
    int const written_only = open((own_folder() + "/file").c_str(), O_WRONLY);
    TELL(read(written_only, buffer.data(), 8));
    TELL(read(written_only, buffer.data(), 0));
    TELL(pread(written_only, buffer.data(), 8, 0));
    TELL(readv(written_only, parts, 3));
}

CORNER_CASE(writing_files) {
    int const fd = open_file("file", "abcdefghij", O_RDWR);
    TELL(write(fd, "XY", 2));
    TELL(write(fd, "XY", 0));
    iovec const parts[3] = {{buffer.data(), 2}, {buffer.data(), 0}, {buffer.data() + 2, 5}};
    TELL(writev(fd, parts, 3));
    TELL(writev(fd, parts, 0));
    TELL(writev(fd, parts, -1));
    TELL(writev(fd, parts, IOV_MAX + 1));
    tell_position(fd);
    TELL(pwrite(fd, "Z", 1, 20));
    TELL(pwrite(fd, "Z", 1, -1));
    TELL(pwrite(fd, "Z", 1, LONG_MAX));
    TELL(pwrite(fd, "Z", 0, 50));
    TELL(pwritev(fd, parts, 3, 21));
    TELL(pwritev(fd, parts, 3, -1));
    TELL(pwritev2(fd, parts, 3, -1, 0));
    TELL(pwritev2(fd, parts, 3, 0, RWF_APPEND));
    TELL(pwritev2(fd, parts, 3, 0, RWF_DSYNC));
    TELL(pwritev2(fd, parts, 3, -1, RWF_APPEND));
    TELL(pwritev2(fd, parts, 3, -5, 0));
    TELL(pwritev2(fd, parts, 3, -1, 0x4000));
    tell_position(fd);
    TELL(lseek(fd, 0, SEEK_END));
    int const appended = open((own_folder() + "/file").c_str(), O_WRONLY | O_APPEND);
    TELL(write(appended, "abc", 3));
    tell_position(appended);
    TELL(pwrite(appended, "abc", 3, 0));
    TELL(lseek(fd, 0, SEEK_END));
    int const read_only = open((own_folder() + "/file").c_str(), O_RDONLY);
    TELL(write(read_only, "abc", 3));
    TELL(write(read_only, "abc", 0));
    TELL(pwrite(read_only, "abc", 3, 0));
    TELL(writev(read_only, parts, 3));
}

CORNER_CASE(files_that_may_not_grow) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit const limit{.rlim_cur = 10, .rlim_max = 10};
    int const fd = open_file("file", "abc", O_RDWR);
    REQUIRE(syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, &limit, nullptr) == 0);
    TELL(write(fd, "0123456789abcdef", 16));
    TELL(write(fd, "x", 1));
    TELL(pwrite(fd, "xyz", 3, 8));
    TELL(pwrite(fd, "x", 1, 10));
}

CORNER_CASE(positions_where_there_are_none) {
    auto const [reader, writer] = make_pipe();
    auto const [one, other] = make_unix_pair();
    iovec const part{buffer.data(), 4};
    put(writer, "abcdefgh");
    put(other, "abcdefgh");
    for (int const fd : {reader, one}) {
        TELL(pread(fd, buffer.data(), 4, 0));
        TELL(preadv(fd, &part, 1, 0));
        TELL(preadv2(fd, &part, 1, 0, 0));
        TELL(preadv2(fd, &part, 1, -1, 0));
        TELL(preadv2(fd, &part, 1, -1, RWF_NOWAIT));
        TELL(preadv2(fd, &part, 1, -1, RWF_NOWAIT));
    }
    for (int const fd : {writer, other}) {
        TELL(pwrite(fd, buffer.data(), 4, 0));
        TELL(pwritev(fd, &part, 1, 0));
        TELL(pwritev2(fd, &part, 1, 0, 0));
        TELL(pwritev2(fd, &part, 1, -1, 0));
    }
    TELL(pread(-1, buffer.data(), 4, 0));
    TELL(pread(-1, buffer.data(), 4, -1));
}

CORNER_CASE(own_position_waits, .parks = 2) {
    auto const [reader, writer] = make_pipe();
    auto const [one, other] = make_unix_pair();
    iovec const part{buffer.data(), 4};
    other_side const feeder([w = writer, o = other] {
        until_case_waits();
        put(w, "abc");
        until_case_waits();
        put(o, "ab");
    });
    about_to_wait();
    TELL(preadv2(reader, &part, 1, -1, 0));
    about_to_wait();
    TELL(preadv2(one, &part, 1, -1, 0));
}

CORNER_CASE(synchronizing) {
    int const fd = open_file("file", "abc", O_RDWR);
    auto const [reader, writer] = make_pipe();
    for (int const each : {fd, reader, -1, INT_MAX}) {
        TELL(fsync(each));
        TELL(fdatasync(each));
    }
    TELL(syncfs(fd));
    TELL(syncfs(-1));
    REQUIRE(ftruncate(fd, 8192) == 0);
    void* const map = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    TELL(msync(map, 8192, MS_SYNC));
    TELL(msync(map, 8192, MS_ASYNC));
    TELL(msync(map, 8192, MS_SYNC | MS_ASYNC));
    TELL(msync(map, 8192, 77));
    TELL(msync(static_cast<char*>(map) + 1, 10, MS_SYNC));
    TELL(munmap(map, 8192));
    TELL(msync(map, 8192, MS_SYNC));
    TELL(msync(map, SIZE_MAX, MS_SYNC));
}

CORNER_CASE(flock_between_open_files, .parks_with_files = 1) {
    std::string const path = make_file("file", "abc");
    int const one = open(path.c_str(), O_RDWR);
    int const other = open(path.c_str(), O_RDWR);
    TELL(flock(one, LOCK_SH));
    TELL(flock(other, LOCK_SH | LOCK_NB));
    TELL(flock(other, LOCK_EX | LOCK_NB));
    TELL(flock(one, LOCK_UN));
    TELL(flock(one, LOCK_EX));
    TELL(flock(one, LOCK_EX));
    TELL(flock(other, LOCK_SH | LOCK_NB));
    other_side const unlocker([one] {
        until_case_waits();
        syscall(SYS_flock, one, LOCK_UN);
    });
    about_to_wait();
    TELL(flock(other, LOCK_EX));
    TELL(flock(one, 0));
    TELL(flock(one, 77));
    TELL(flock(one, LOCK_SH | LOCK_EX));
    TELL(flock(one, LOCK_NB));
    TELL(flock(-1, LOCK_EX));
    auto const [reader, writer] = make_pipe();
    TELL(flock(reader, LOCK_EX));
    int const path_only = open(path.c_str(), O_PATH);
    TELL(flock(path_only, LOCK_EX));
}

CORNER_CASE(records_between_processes, .parks_with_files = 3) {
    int const fd = open_file("file", "abc", O_RDWR);
    struct flock section = whole_file(F_WRLCK);
    auto const lock = [fd] {
        struct flock all = whole_file(F_WRLCK);
        fcntl(fd, F_SETLK, &all);
    };
    for (int round = 0; round < 3; ++round) {
        holder other(lock);
        section = whole_file(F_RDLCK);
        TELL(fcntl(fd, F_SETLK, &section));
        TELL(fcntl(fd, F_GETLK, &section));
        say("type %d, length %ld", section.l_type, static_cast<long>(section.l_len));
        TELL(lockf(fd, F_TLOCK, 0));
        TELL(lockf(fd, F_TEST, 0));
        other_side const releaser([&other] {
            until_case_waits();
            other.let_go();
        });
        section = whole_file(F_WRLCK);
        about_to_wait();
        if (round == 0)
            TELL(fcntl(fd, F_SETLKW, &section));
        else if (round == 1)
            TELL(lockf(fd, F_LOCK, 0));
        else
            TELL(fcntl(fd, F_OFD_SETLKW, &section));
        section = whole_file(F_UNLCK);
        TELL(fcntl(fd, F_SETLK, &section));
        TELL(fcntl(fd, F_OFD_SETLK, &section));
        TELL(lockf(fd, F_ULOCK, 0));
    }
}

CORNER_CASE(bad_records) {
    int const fd = open_file("file", "abc", O_RDWR);
    struct flock section = whole_file(77);
    TELL(fcntl(fd, F_SETLKW, &section));
    TELL(fcntl(fd, F_SETLK, &section));
    section = whole_file(F_WRLCK);
    section.l_whence = 77;
    TELL(fcntl(fd, F_SETLKW, &section));
    section = whole_file(F_WRLCK);
    section.l_start = -1;
    TELL(fcntl(fd, F_SETLKW, &section));
    section = whole_file(F_WRLCK);
    section.l_pid = 1;
    TELL(fcntl(fd, F_OFD_SETLKW, &section));
    section = whole_file(F_WRLCK);
    int const read_only = open((own_folder() + "/file").c_str(), O_RDONLY);
    TELL(fcntl(read_only, F_SETLKW, &section));
    TELL(lockf(read_only, F_LOCK, 0));
    TELL(lockf(read_only, F_TLOCK, 0));
    TELL(lockf(fd, 77, 0));
    TELL(lockf(fd, F_LOCK, LONG_MIN));
    TELL(lockf(-1, F_LOCK, 0));
    TELL(fcntl(-1, F_SETLKW, &section));
    auto const [reader, writer] = make_pipe();
    TELL(fcntl(writer, F_SETLKW, &section));
}

// Two processes that wait for each other's records: the kernel sees it.
CORNER_CASE(records_in_a_circle) {
    int const fd = open_file("file", "abcdef", O_RDWR);
    auto const byte = [](long start) {
        struct flock section = whole_file(F_WRLCK);
        section.l_start = start;
        section.l_len = 1;
        return section;
    };
    struct flock own = byte(0);
    TELL(fcntl(fd, F_SETLK, &own));
    auto const [reader, writer] = make_pipe();
    pid_t const child = fork();
    if (child == 0) {
        struct flock section = byte(1);
        syscall(SYS_fcntl, fd, F_SETLK, &section);
        put(writer, "x");
        section = byte(0);
        syscall(SYS_fcntl, fd, F_SETLKW, &section);
        _exit(0);
    }
    TELL(read(reader, buffer.data(), 1));
    // Until the child waits, by whichever of its threads.
    std::string const waiter = " " + std::to_string(child) + " ";
    for (bool waits = false; !waits;) {
        FILE* const locks = std::fopen("/proc/locks", "r");
        REQUIRE(locks != nullptr);
        std::array<char, 256> line{};
        while (std::fgets(line.data(), line.size(), locks) != nullptr)
            waits = waits || (std::strstr(line.data(), "->") != nullptr &&
                              std::strstr(line.data(), waiter.c_str()) != nullptr);
        std::fclose(locks);
    }
    struct flock section = byte(1);
    TELL(fcntl(fd, F_SETLKW, &section));
    own = byte(0);
    own.l_type = F_UNLCK;
    TELL(fcntl(fd, F_SETLK, &own));
    TELL(syscall(SYS_wait4, child, nullptr, 0, nullptr) == child);
}
