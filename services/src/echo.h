/* echo: the textbook's echo server. Plain C and plain POSIX: nothing in it knows of fibers. */
#ifndef WEFT_SERVICES_ECHO_H
#define WEFT_SERVICES_ECHO_H

#ifdef __cplusplus
extern "C" {
#endif

/* Accepts connections on `listener`, and calls start() for each, until accept fails; errno says why. start() lets
   handler(connection) run concurrently with its caller; `context` is handed on to it. */
void echo_server(int listener, void (*start)(void (*handler)(int connection), int connection, void* context),
                 void* context);

/* Sends back what comes, until the peer has sent all or something fails; then closes. */
void echo_connection(int connection);

#ifdef __cplusplus
}
#endif

#endif
