// libssh2 in its blocking mode: words for a command that sshd runs.
//
// Keys are exchanged, and the commands started, before the clock is watched: 100 times at once, that keeps the processors
// busy, here and at the server, and then the heartbeat waits for its turn in the kernel and not in weft.
#include <arpa/inet.h>
#include <libssh2.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <weft/run.hpp>

#include "clients/concurrent_operations.hpp"
#include "clients/handle.hpp"
#include "support/sockets.hpp"

namespace {

// Answers each line after 100 ms.
constexpr char const* echo_command =
    "exec perl -e '$| = 1; while (<STDIN>) { select(undef, undef, undef, 0.1); print }'";

// Logged in, with that command running.
class session {
public:
    session() : socket_(::socket(AF_INET, SOCK_STREAM, 0)), session_(libssh2_session_init()) {
        sockaddr_in server{};
        server.sin_family = AF_INET;
        server.sin_port = htons(static_cast<std::uint16_t>(std::stoul(clients::server_port())));
        BOOST_REQUIRE(::inet_pton(AF_INET, clients::server_host().c_str(), &server.sin_addr) == 1);
        BOOST_REQUIRE(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&server), sizeof server) == 0);
        BOOST_REQUIRE(session_ != nullptr);
        require(libssh2_session_handshake(session_.get(), socket_.get()));
        auto const user = clients::setting("WEFT_TEST_USER");
        auto const key = clients::setting("WEFT_TEST_KEY");
        require(libssh2_userauth_publickey_fromfile(session_.get(), user.c_str(), (key + ".pub").c_str(),
                                                    key.c_str(), nullptr));
        channel_.reset(libssh2_channel_open_session(session_.get()));
        require(channel_ != nullptr ? 0 : libssh2_session_last_errno(session_.get()));
        require(libssh2_channel_exec(channel_.get(), echo_command));
        BOOST_TEST(ask("ready") == "ready"); // perl, too, takes its time to start
    }

    [[nodiscard]] std::string ask(std::string const& word) const {
        auto const line = word + "\n";
        BOOST_REQUIRE(require(libssh2_channel_write(channel_.get(), line.data(), line.size())) ==
                      static_cast<ssize_t>(line.size()));
        std::string answer;
        while (!answer.ends_with('\n')) {
            std::array<char, 256> buffer{};
            auto const count = require(libssh2_channel_read(channel_.get(), buffer.data(), buffer.size()));
            BOOST_REQUIRE(count > 0);
            answer.append(buffer.data(), static_cast<std::size_t>(count));
        }
        answer.pop_back();
        return answer;
    }

    // Returns the command's exit status.
    int end() const {
        require(libssh2_channel_send_eof(channel_.get()));
        require(libssh2_channel_wait_eof(channel_.get()));
        require(libssh2_channel_close(channel_.get()));
        require(libssh2_channel_wait_closed(channel_.get()));
        return libssh2_channel_get_exit_status(channel_.get());
    }

private:
    // Returns it, unless it tells of an error.
    ssize_t require(ssize_t outcome) const {
        if (outcome < 0) {
            char* message = nullptr;
            libssh2_session_last_error(session_.get(), &message, nullptr, 0);
            BOOST_FAIL("libssh2: " << outcome << ", " << message);
        }
        return outcome;
    }

    support::unique_fd socket_;
    clients::handle<LIBSSH2_SESSION, libssh2_session_free> session_;
    clients::handle<LIBSSH2_CHANNEL, libssh2_channel_free> channel_;
};

} // namespace

BOOST_AUTO_TEST_CASE(answers_wait_side_by_side) {
    BOOST_REQUIRE(libssh2_init(0) == 0);
    weft::run([] {
        auto sessions = clients::connect_on_fibers([] { return session(); });
        clients::check_that_operations_wait_side_by_side(sessions, [](session const& server, int number) {
            BOOST_TEST(server.ask(std::to_string(number)) == std::to_string(number));
        });
        for (session const& server : sessions)
            BOOST_TEST(server.end() == 0);
    });
    libssh2_exit();
}
