// The hello service: HTTP/1.1, `GET /{name}` answers "Hello, NAME", `GET /` "Hello, Anonymous".
#pragma once

#include "service.hpp"

namespace weft::services {

service hello_service(net::endpoint const& listen);

} // namespace weft::services
