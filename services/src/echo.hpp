// The echo service: the textbook's server (echo.c), one fiber a connection.
#pragma once

#include "service.hpp"

namespace weft::services {

service echo_service(net::endpoint const& listen);

} // namespace weft::services
