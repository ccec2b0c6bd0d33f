// A diagnosis as JSON for programs.
#pragma once

#include <boost/json/object.hpp>

#include "diagnosis.hpp"

namespace weft::services {

boost::json::object to_json(diagnosis const& found);

} // namespace weft::services
