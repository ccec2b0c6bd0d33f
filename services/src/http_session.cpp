#include "http_session.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <iterator>

#include <boost/asio/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include <weft/net/tcp_stream.hpp>

namespace weft::services {
namespace {

namespace http = boost::beast::http;
using namespace std::chrono_literals;
using net::error_code;
using parser = http::request_parser<http::empty_body>;

constexpr std::uint32_t header_limit = 64 * 1024;
constexpr std::size_t request_line_limit = 8190;
constexpr std::size_t field_limit = 128;
constexpr std::uint64_t body_limit = std::uint64_t{1} << 20;
constexpr auto idle_time = 75s;
constexpr auto header_time = 10s;
constexpr auto write_time = 60s;
constexpr auto linger_time = 500ms;
constexpr std::size_t linger_bytes = std::size_t{256} * 1024;

// RFC 9110's IMF-fixdate, made anew once a second.
std::string_view current_date() {
    thread_local std::time_t made = 0;
    thread_local std::array<char, 32> text{};
    std::time_t const now = std::time(nullptr);
    if (now != made) {
        std::tm parts{};
        ::gmtime_r(&now, &parts);
        std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
        made = now;
    }
    return text.data();
}

http_answer refusal(http::status status) {
    return {.status = status, .body = std::string(http::obsolete_reason(status)) + "\n", .allow = {}};
}

// "HTTP/d.d" at the end of a request line that has not been consumed: well-formed, whatever the number.
bool names_a_version(boost::beast::flat_buffer const& buffer) {
    std::string_view line(static_cast<char const*>(buffer.data().data()), buffer.size());
    line = line.substr(0, line.find("\r\n"));
    constexpr std::string_view shape = " HTTP/d.d";
    if (line.size() < shape.size())
        return false;
    std::string_view const end = line.substr(line.size() - shape.size());
    auto const matches = [](char present, char expected) {
        return expected == 'd' ? present >= '0' && present <= '9' : present == expected;
    };
    return std::equal(end.begin(), end.end(), shape.begin(), matches) &&
           std::count(line.begin(), line.end(), ' ') == 2;
}

// The answer to what could not be read; status::unknown if there is nobody to answer.
http::status status_of(error_code const& error, parser const& request,
                       boost::beast::flat_buffer const& buffer) {
    if (error == boost::asio::error::timed_out)
        return http::status::request_timeout;
    if (error == http::error::header_limit)
        return request.get().target().empty() ? http::status::uri_too_long
                                              : http::status::request_header_fields_too_large;
    if (error == http::error::bad_version && names_a_version(buffer))
        return http::status::http_version_not_supported;
    if (error == http::error::body_limit)
        return http::status::payload_too_large;
    if (error == http::error::end_of_stream || error == http::error::partial_message)
        return http::status::unknown;
    bool const malformed = error.category() == http::make_error_code(http::error::bad_method).category();
    return malformed ? http::status::bad_request : http::status::unknown;
}

// A target in absolute form, `http://host/path`, stands for its path; the query is none of ours.
std::string_view path_of(std::string_view target) {
    for (std::string_view const scheme : {"http://", "https://"}) {
        if (!boost::beast::iequals(target.substr(0, scheme.size()), scheme))
            continue;
        std::size_t const end = target.find_first_of("/?#", scheme.size());
        if (end == std::string_view::npos || target[end] != '/')
            return "/";
        target = target.substr(end);
    }
    return target.substr(0, target.find_first_of("?#"));
}

std::size_t request_line_size(parser const& request) {
    constexpr std::size_t spaces_and_version = 10; // "  HTTP/1.1"
    return request.get().method_string().size() + request.get().target().size() + spaces_and_version;
}

class session {
public:
    session(connection& self, http_handler const& handle) : self_(self), stream_(self.fd()), handle_(handle) {
        error_code ignored;
        stream_.no_delay(true, ignored);
    }

    void run() {
        while (wait_for_request() && answer_request()) {
        }
    }

private:
    // Between requests, a connection may be closed without harm.
    bool wait_for_request() {
        skip_empty_lines();
        if (buffer_.size() != 0)
            return true;
        if (!self_.begin_idle())
            return false;
        error_code error;
        stream_.expires_after(idle_time);
        do {
            constexpr std::size_t first_read = 4096;
            buffer_.commit(stream_.read_some(buffer_.prepare(first_read), error));
            skip_empty_lines();
        } while (!error && buffer_.size() == 0);
        self_.end_idle();
        return !error;
    }

    // RFC 9112 2.2: those before a request line are to be ignored.
    void skip_empty_lines() {
        constexpr std::string_view empty_line = "\r\n";
        while (std::string_view(static_cast<char const*>(buffer_.data().data()), buffer_.size())
                   .starts_with(empty_line))
            buffer_.consume(empty_line.size());
    }

    // False if it was the last.
    bool answer_request() {
        parser request;
        request.header_limit(header_limit);
        request.body_limit(body_limit);
        stream_.expires_after(header_time);
        error_code error;
        http::read_header(stream_, buffer_, request, error);
        if (error) {
            http::status const status = status_of(error, request, buffer_);
            if (status != http::status::unknown)
                refuse(status);
            return false;
        }
        http::status const verdict = check(request);
        if (verdict != http::status::ok) {
            refuse(verdict);
            return false;
        }
        bool const has_body = request.chunked() || request.content_length().value_or(0) != 0;
        bool const keep = request.keep_alive() && !has_body && !self_.draining();
        auto const& message = request.get();
        std::string_view const target(message.target().data(), message.target().size());
        http_answer const answer = handle_(message.method(), path_of(target));
        if (!write(answer, message.method() == http::verb::head, message.version(), keep))
            return false;
        if (!keep)
            linger();
        return keep;
    }

    static http::status check(parser const& request) {
        auto const& message = request.get();
        if (request_line_size(request) > request_line_limit)
            return http::status::uri_too_long;
        if (std::distance(message.begin(), message.end()) > static_cast<std::ptrdiff_t>(field_limit))
            return http::status::request_header_fields_too_large;
        // RFC 9112 3.2: exactly one Host, since HTTP/1.1.
        auto const hosts = static_cast<std::size_t>(message.count(http::field::host));
        if (hosts > 1 || (hosts == 0 && message.version() >= 11))
            return http::status::bad_request;
        // RFC 9112 6.1: with another coding last, where the body ends can't be known.
        if (message.count(http::field::transfer_encoding) != 0 && !request.chunked())
            return http::status::not_implemented;
        if (request.content_length().value_or(0) > body_limit)
            return http::status::payload_too_large;
        return http::status::ok;
    }

    bool write(http_answer const& answer, bool head, unsigned version, bool keep) {
        http::response<http::string_body> response;
        response.result(answer.status);
        response.version(version);
        response.set(http::field::server, "weft");
        response.set(http::field::date, current_date());
        response.set(http::field::content_type, "text/plain; charset=utf-8");
        if (!answer.allow.empty())
            response.set(http::field::allow, answer.allow);
        response.keep_alive(keep);
        response.content_length(answer.body.size());
        if (!head)
            response.body() = answer.body;
        stream_.expires_after(write_time);
        error_code error;
        http::write(stream_, response, error);
        return !error;
    }

    void refuse(http::status status) {
        constexpr unsigned version = 11;
        if (write(refusal(status), false, version, false))
            linger();
    }

    // Closing with unread input would reset the connection, and the client could lose the answer: say that it's all,
    // then read on a little.
    void linger() {
        error_code error;
        stream_.shutdown(net::tcp_stream::side::send, error);
        stream_.expires_after(linger_time);
        std::array<char, 4096> discarded{};
        for (std::size_t sum = 0; !error && sum < linger_bytes;)
            sum += stream_.read_some(boost::asio::buffer(discarded), error);
    }

    connection& self_;
    net::tcp_stream stream_;
    http_handler const& handle_;
    boost::beast::flat_buffer buffer_;
};

int hex_value(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    constexpr int ten = 10;
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + ten;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + ten;
    return -1;
}

} // namespace

void serve_http(connection& self, http_handler const& handle) { session(self, handle).run(); }

bool percent_decode(std::string_view encoded, std::string& decoded) {
    decoded.clear();
    for (std::size_t i = 0; i < encoded.size(); ++i) {
        if (encoded[i] != '%') {
            decoded.push_back(encoded[i]);
            continue;
        }
        if (encoded.size() - i < 3)
            return false;
        int const high = hex_value(encoded[i + 1]);
        int const low = hex_value(encoded[i + 2]);
        if (high < 0 || low < 0)
            return false;
        decoded.push_back(static_cast<char>(high * 16 + low));
        i += 2;
    }
    return true;
}

} // namespace weft::services
