// For BOOST_CHECK_EXCEPTION: whether an error's message has these words in it.
#pragma once

#include <exception>
#include <string>
#include <system_error>

namespace support {

inline auto says(std::string words) {
    return [words = std::move(words)](std::exception const& error) {
        return std::string(error.what()).find(words) != std::string::npos;
    };
}

// ... and it has this code.
inline auto says(std::errc code, std::string words) {
    return [code, words = std::move(words)](std::system_error const& error) {
        return error.code() == code && says(words)(error);
    };
}

} // namespace support
