#include "echo.h"

#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef ECHO_BUFFER_SIZE
#define ECHO_BUFFER_SIZE 4096
#endif

void echo_connection(int connection) {
    char buffer[ECHO_BUFFER_SIZE];
    ssize_t count;

    while ((count = recv(connection, buffer, sizeof buffer, 0)) > 0) {
        if (send(connection, buffer, (size_t)count, 0) != count)
            break;
    }
    close(connection);
}

void echo_server(int listener, void (*start)(void (*handler)(int connection), int connection, void* context),
                 void* context) {
    int connection;

    while ((connection = accept(listener, NULL, NULL)) >= 0)
        start(echo_connection, connection, context);
}
