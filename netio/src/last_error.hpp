// errno as a Boost error code.
#pragma once

#include <cerrno>

#include <boost/system/error_code.hpp>

namespace weft::net::detail {

inline boost::system::error_code last_error() noexcept { return {errno, boost::system::system_category()}; }

} // namespace weft::net::detail
