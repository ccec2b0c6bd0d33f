// What a scenario that runs often, or on many threads at once, says when it finds something that must not be.
#pragma once

#include <stdexcept>

namespace support {

class broken : public std::logic_error {
public:
    using std::logic_error::logic_error;
};

// Not BOOST_TEST, which writes a log entry a time, and is no use on several threads.
inline void require(bool holds, char const* what) {
    if (!holds)
        throw broken(what);
}

} // namespace support
