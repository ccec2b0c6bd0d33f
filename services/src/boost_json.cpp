// Boost.JSON itself, compiled here once: a library of it would be one package more to install.
#include <boost/json/src.hpp>
