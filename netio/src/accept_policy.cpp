#include <algorithm>
#include <cerrno>

#include <weft/net/accept_policy.hpp>

namespace weft::net {

accept_action accept_policy::failed(int error) noexcept {
    switch (error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPERM: return accept_action::go_on;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: pause_ = std::clamp(pause_ * 2, first_pause, longest_pause); return accept_action::back_off;
    default: return accept_action::stop;
    }
}

} // namespace weft::net
