// echo_1k: `weft echo` with a buffer of 1 KiB, for measuring memory per idle connection.
//
//     echo_1k --listen HOST:PORT [--workers 1]
#include <cstdio>
#include <cstring>
#include <exception>

#include "echo.hpp"

int main(int argc, char** argv) {
    if (argc < 3 || std::strcmp(argv[1], "--listen") != 0) {
        std::fputs("usage: echo_1k --listen HOST:PORT\n", stderr);
        return 2;
    }
    try {
        return weft::services::host({weft::services::echo_service(weft::net::endpoint::parse(argv[2]))}, {});
    } catch (std::exception const& error) {
        std::fprintf(stderr, "echo_1k: %s\n", error.what());
        return 2;
    }
}
