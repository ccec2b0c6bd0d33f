/* echo: the textbook's echo server. Plain C and plain POSIX: nothing in it knows of fibers. */
#ifndef WEFT_SERVICES_ECHO_H
#define WEFT_SERVICES_ECHO_H

#ifdef __cplusplus
extern "C" {
#endif

/* Lets handler(connection) run, concurrently with the caller. `context` is the caller's own. */
typedef void echo_start(void (*handler)(int connection), int connection, void* context);

/* Accepts connections on `listener`, and starts a handler for each, until accept fails; errno says why. */
void echo_server(int listener, echo_start* start, void* context);

/* Sends back what comes, until the peer has sent all or something fails; then closes. */
void echo_connection(int connection);

#ifdef __cplusplus
}
#endif

#endif
