// Streams of stdio on sockets, pipes and terminals: who blocked the thread would wait for ever, as the other side is a fiber of
// the same worker.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

struct closer {
    void operator()(FILE* stream) const { std::fclose(stream); }
};
using stream = std::unique_ptr<FILE, closer>;

stream open_stream(support::unique_fd& fd, char const* mode) { return stream(::fdopen(fd.release(), mode)); }

// Sends the pieces one by one, each only when everyone else waits.
weft::fiber<> send_pieces(int fd, std::vector<std::string> pieces) {
    return weft::spawn([fd, pieces = std::move(pieces)] {
        for (std::string const& piece : pieces) {
            weft::this_fiber::yield();
            BOOST_TEST(::write(fd, piece.data(), piece.size()) == static_cast<ssize_t>(piece.size()));
            weft::this_fiber::yield();
        }
        ::close(fd);
    });
}

// Two lines, the first in three pieces, and a rest without an end.
std::vector<std::string> const pieces{"fi", "rst", " line\nsecond line\n", "re", "st"};

} // namespace

BOOST_AUTO_TEST_CASE(lines_come_in_pieces) {
    weft::run([] {
        auto pipe = support::pipe_pair();
        auto sender = send_pieces(pipe[1].release(), pieces);
        stream const in = open_stream(pipe[0], "r");
        std::array<char, 100> line{};
        BOOST_TEST(std::fgets(line.data(), 100, in.get()) == line.data());
        BOOST_TEST(std::string(line.data()) == "first line\n");
        BOOST_TEST(std::fgets(line.data(), 7, in.get()) == line.data());
        BOOST_TEST(std::string(line.data()) == "second");
        BOOST_TEST(std::fgets(line.data(), 100, in.get()) == line.data());
        BOOST_TEST(std::string(line.data()) == " line\n");
        BOOST_TEST(std::fgets(line.data(), 100, in.get()) == line.data());
        BOOST_TEST(std::string(line.data()) == "rest");
        BOOST_TEST(std::fgets(line.data(), 100, in.get()) == nullptr);
        BOOST_TEST(std::feof(in.get()) != 0);
        BOOST_TEST(std::ferror(in.get()) == 0);
    });
}

BOOST_AUTO_TEST_CASE(getline_grows_its_line) {
    weft::run([] {
        std::string const text = support::pattern(100'000);
        std::string letters;
        for (char const c : text)
            letters += static_cast<char>('a' + (static_cast<unsigned char>(c) % 26));
        auto pipe = support::pipe_pair();
        auto sender = send_pieces(pipe[1].release(), {letters, letters + "\n", "x\n", "end"});
        stream const in = open_stream(pipe[0], "r");
        char* line = nullptr;
        std::size_t room = 0;
        BOOST_TEST(::getline(&line, &room, in.get()) == 200'001);
        BOOST_TEST((std::string(line) == letters + letters + "\n"));
        BOOST_TEST(::getline(&line, &room, in.get()) == 2);
        BOOST_TEST(std::string(line) == "x\n");
        BOOST_TEST(::getline(&line, &room, in.get()) == 3);
        BOOST_TEST(std::string(line) == "end");
        BOOST_TEST(::getline(&line, &room, in.get()) == -1);
        std::free(line);
    });
}

BOOST_AUTO_TEST_CASE(blocks_and_characters) {
    weft::run([] {
        auto pair = support::tcp_pair();
        std::string const bytes = support::pattern(300'000);
        auto sender = weft::spawn([&, fd = pair[1].release()] {
            BOOST_TEST(::write(fd, "ab", 2) == 2);
            weft::this_fiber::yield();
            BOOST_TEST(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
            ::close(fd);
        });
        stream const in = open_stream(pair[0], "r");
        BOOST_TEST(std::fgetc(in.get()) == 'a');
        BOOST_TEST(std::ungetc('z', in.get()) == 'z');
        BOOST_TEST(std::getc(in.get()) == 'z');
        BOOST_TEST(std::fgetc(in.get()) == 'b');
        std::string got(bytes.size() + 7, '\0');
        BOOST_TEST(std::fread(got.data(), 1000, 301, in.get()) == 300U);
        got.resize(bytes.size());
        BOOST_TEST((got == bytes));
        BOOST_TEST(std::fgetc(in.get()) == EOF);
        BOOST_TEST(std::feof(in.get()) != 0);
    });
}

// What ungetc gives back is another character, so libc keeps it apart: when it is read, and nothing is behind it, the next read waits.
BOOST_AUTO_TEST_CASE(a_character_given_back_hides_no_wait) {
    weft::run([] {
        auto pipe = support::pipe_pair();
        stream const in = open_stream(pipe[0], "r");
        BOOST_TEST(::write(pipe[1].get(), "abc", 3) == 3);
        for (char const expected : {'a', 'b', 'c'}) { // with and without bytes behind it
            BOOST_TEST(std::fgetc(in.get()) == expected);
            BOOST_TEST(std::ungetc('z', in.get()) == 'z');
            BOOST_TEST(std::fgetc(in.get()) == 'z');
        }
        auto sender = weft::spawn([&] { BOOST_TEST(::write(pipe[1].get(), "de\n", 3) == 3); });
        BOOST_TEST(std::fgetc(in.get()) == 'd');
        BOOST_TEST(std::ungetc('y', in.get()) == 'y');
        std::array<char, 10> line{};
        BOOST_TEST(std::fgets(line.data(), 10, in.get()) == line.data());
        BOOST_TEST(std::string(line.data()) == "ye\n");
        BOOST_TEST(std::ungetc('x', in.get()) == 'x');
        auto last = weft::spawn([&] {
            BOOST_TEST(::write(pipe[1].get(), "f\n", 2) == 2);
            pipe[1].reset();
        });
        BOOST_TEST(std::fgets(line.data(), 10, in.get()) == line.data());
        BOOST_TEST(std::string(line.data()) == "xf\n");
        BOOST_TEST(std::fgetc(in.get()) == EOF);
    });
}

BOOST_AUTO_TEST_CASE(scanf_waits_for_the_first_piece) {
    weft::run([] {
        auto pipe = support::pipe_pair();
        auto sender = send_pieces(pipe[1].release(), {"12 words\n", "13\n"});
        stream const in = open_stream(pipe[0], "r");
        int number = 0;
        std::array<char, 10> word{};
        BOOST_TEST(std::fscanf(in.get(), "%d %9s", &number, word.data()) == 2);
        BOOST_TEST(number == 12);
        BOOST_TEST(std::string(word.data()) == "words");
        std::array<char, 10> line{};
        BOOST_TEST(std::fgets(line.data(), 10, in.get()) == line.data()); // the rest of it
        BOOST_TEST(std::fscanf(in.get(), "%d", &number) == 1);
        BOOST_TEST(number == 13);
    });
}

// More than the pipe takes, by every kind of buffering.
BOOST_AUTO_TEST_CASE(output_waits_for_a_slow_reader) {
    for (int const mode : {_IOFBF, _IOLBF, _IONBF})
        weft::run([mode] {
            auto pipe = support::pipe_pair();
            std::string expected;
            auto writer = weft::spawn([&] {
                stream const out = open_stream(pipe[1], "w");
                BOOST_TEST(std::setvbuf(out.get(), nullptr, mode, 3000) == 0);
                std::string const block = support::pattern(150'000);
                for (int i = 0; i < 3; ++i) {
                    BOOST_TEST(std::fprintf(out.get(), "%d and %s\n", i, std::string(5000, 'p').c_str()) ==
                               5007);
                    BOOST_TEST(std::fputs("a text\n", out.get()) >= 0);
                    BOOST_TEST(std::fwrite(block.data(), 1, block.size(), out.get()) == block.size());
                    BOOST_TEST(std::fputc('\n', out.get()) == '\n');
                    BOOST_TEST(::putc_unlocked('.', out.get()) == '.');
                    expected +=
                        std::to_string(i) + " and " + std::string(5000, 'p') + "\na text\n" + block + "\n.";
                }
                BOOST_TEST(std::ferror(out.get()) == 0);
            }); // and the rest by fclose
            std::string got;
            std::array<char, 1000> buffer{};
            for (ssize_t n = 0; (n = ::read(pipe[0].get(), buffer.data(), buffer.size())) > 0;)
                got.append(buffer.data(), static_cast<std::size_t>(n));
            writer.join();
            BOOST_TEST((got == expected));
        });
}

// Others may write lines into the same pipe. One in packet mode shows what went in one write.
BOOST_AUTO_TEST_CASE(what_is_written_at_once_stays_so) {
    weft::run([] {
        std::array<int, 2> ends{};
        BOOST_REQUIRE(::pipe2(ends.data(), O_DIRECT | O_CLOEXEC) == 0);
        support::unique_fd const in(ends[0]);
        std::array<char, 256> memory{};
        stream const out(::fdopen(ends[1], "w"));
        BOOST_TEST(std::setvbuf(out.get(), memory.data(), _IOLBF, memory.size()) == 0);
        auto const packet = [&] {
            std::array<char, 500> buffer{};
            ssize_t const n = ::read(in.get(), buffer.data(), buffer.size());
            return std::string(buffer.data(), static_cast<std::size_t>(n));
        };
        std::fputs("begun\n", out.get()); // libc writes a stream's first call at once
        BOOST_TEST(packet() == "begun\n");
        std::fputs("a line ", out.get());
        std::fprintf(out.get(), "of %d parts\nand", 2);
        BOOST_TEST(packet() == "a line of 2 parts\n");
        std::fputs(" more\n", out.get());
        BOOST_TEST(packet() == "and more\n");
        std::string const longer(300, 'l');
        std::fputs("12345", out.get());
        std::fputs(longer.c_str(), out.get());
        BOOST_TEST(packet() == "12345" + longer.substr(0, 251));
        std::fflush(out.get());
        BOOST_TEST(packet() == longer.substr(251));
    });
}

// What one call writes stays together, though its fiber waits in between.
BOOST_AUTO_TEST_CASE(calls_of_several_fibers_take_turns) {
    weft::run([] {
        auto pipe = support::pipe_pair();
        stream out = open_stream(pipe[1], "w");
        constexpr int writers = 5;
        constexpr int lines = 20;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < writers; ++i)
            fibers.push_back(weft::spawn([&, i] {
                std::string const line(20'000, static_cast<char>('a' + i));
                for (int j = 0; j < lines; ++j)
                    BOOST_TEST(std::fprintf(out.get(), "%s\n", line.c_str()) == 20'001);
            }));
        auto closing = weft::spawn([&] {
            fibers.clear();
            out.reset();
        });
        stream const in = open_stream(pipe[0], "r");
        char* line = nullptr;
        std::size_t room = 0;
        int count = 0;
        for (ssize_t n = 0; (n = ::getline(&line, &room, in.get())) > 0; ++count)
            BOOST_TEST((std::string(line) == std::string(20'000, line[0]) + "\n"));
        std::free(line);
        BOOST_TEST(count == writers * lines);
    });
}

BOOST_AUTO_TEST_CASE(a_conversation_over_one_stream) {
    weft::run([] {
        auto pair = support::tcp_pair();
        auto server = weft::spawn([&] {
            stream const both = open_stream(pair[1], "r+");
            std::array<char, 100> line{};
            while (std::fgets(line.data(), 100, both.get()) != nullptr) {
                std::fprintf(both.get(), "you said %s", line.data());
                std::fflush(both.get());
            }
        });
        {
            stream const both = open_stream(pair[0], "r+");
            std::array<char, 100> line{};
            for (int i = 0; i < 3; ++i) {
                std::fprintf(both.get(), "%d\n", i);
                std::fflush(both.get());
                BOOST_TEST(std::fgets(line.data(), 100, both.get()) == line.data());
                BOOST_TEST(std::string(line.data()) == "you said " + std::to_string(i) + "\n");
            }
        }
        server.join();
    });
}

BOOST_AUTO_TEST_CASE(errors_are_the_streams) {
    weft::run([] {
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN;
        ::sigaction(SIGPIPE, &ignore, nullptr);
        auto pipe = support::pipe_pair();
        pipe[0].reset();
        stream const out = open_stream(pipe[1], "w");
        BOOST_TEST(std::fputs("lost", out.get()) >= 0); // buffered
        BOOST_TEST(std::fflush(out.get()) == EOF);
        BOOST_TEST(errno == EPIPE);
        BOOST_TEST(std::ferror(out.get()) != 0);
        BOOST_TEST(std::fgetc(out.get()) == EOF);
        BOOST_TEST(errno == EBADF);

        auto second = support::pipe_pair();
        ::fcntl(second[0].get(), F_SETFL, O_NONBLOCK);
        stream const in = open_stream(second[0], "r");
        std::array<char, 10> line{};
        BOOST_TEST(std::fgets(line.data(), 10, in.get()) == nullptr);
        BOOST_TEST(errno == EAGAIN);
        BOOST_TEST(std::ferror(in.get()) != 0);
        std::clearerr(in.get());
        ::write(second[1].get(), "now\n", 4);
        BOOST_TEST(std::fgets(line.data(), 10, in.get()) == line.data());
    });
}

BOOST_AUTO_TEST_CASE(a_handler_ends_a_read) {
    weft::run([] {
        struct sigaction action {};
        action.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &action, nullptr);
        auto pipe = support::pipe_pair();
        stream const in = open_stream(pipe[0], "r");
        auto killer = weft::spawn([] { ::kill(::getpid(), SIGUSR1); }); // runs when main waits
        BOOST_TEST(std::fgetc(in.get()) == EOF);
        BOOST_TEST(errno == EINTR);
        BOOST_TEST(std::ferror(in.get()) != 0);
        BOOST_TEST(std::feof(in.get()) == 0);
    });
}

// Lines and blocks that the buffer holds a part of only.
BOOST_AUTO_TEST_CASE(files_are_read_whole) {
    weft::run([] {
        stream const file(std::tmpfile());
        constexpr int lines = 5000;
        for (int i = 0; i < lines; ++i)
            BOOST_TEST(std::fprintf(file.get(), "%d and %s\n", i,
                                    std::string(static_cast<std::size_t>(i % 100), 'x').c_str()) > 0);
        long const size = std::ftell(file.get());
        std::rewind(file.get());
        std::array<char, 200> line{};
        for (int i = 0; i < lines; ++i) {
            BOOST_TEST(std::fgets(line.data(), 200, file.get()) == line.data());
            BOOST_TEST(std::string(line.data()) == std::to_string(i) + " and " +
                                                       std::string(static_cast<std::size_t>(i % 100), 'x') +
                                                       "\n");
        }
        BOOST_TEST(std::fgets(line.data(), 200, file.get()) == nullptr);
        std::rewind(file.get());
        char* grown = nullptr;
        std::size_t room = 0;
        int count = 0;
        while (::getline(&grown, &room, file.get()) > 0)
            BOOST_TEST(std::atoi(grown) == count++);
        BOOST_TEST(count == lines);
        std::free(grown);
        std::rewind(file.get());
        BOOST_TEST(std::fgetc(file.get()) == '0');
        std::string all(static_cast<std::size_t>(size) + 10, '\0');
        BOOST_TEST(std::fread(all.data(), 1, all.size(), file.get()) == static_cast<std::size_t>(size) - 1);
        BOOST_TEST(std::feof(file.get()) != 0);
    });
}

BOOST_AUTO_TEST_CASE(files_and_memory_are_libcs) {
    weft::run([] {
        stream const file(std::tmpfile());
        BOOST_TEST(std::fprintf(file.get(), "%s %d\n", "line", 1) == 7);
        std::rewind(file.get());
        std::array<char, 20> line{};
        BOOST_TEST(std::fgets(line.data(), 20, file.get()) == line.data());
        BOOST_TEST(std::string(line.data()) == "line 1\n");
        BOOST_TEST(std::fgets(line.data(), 20, file.get()) == nullptr);
        char* text = nullptr;
        std::size_t size = 0;
        FILE* const memory = ::open_memstream(&text, &size);
        BOOST_TEST(std::fprintf(memory, "%06d", 42) == 6);
        std::fclose(memory);
        BOOST_TEST(std::string(text, size) == "000042");
        std::free(text);
    });
}
