/* Send through a proxy as fast as it goes: bulkload PROXY_PORT OWN_PORT CONNECTIONS SECONDS

   It is both ends: it listens on OWN_PORT, where the proxy connects to, and sends there; and it connects to the proxy and
   takes what comes. Neither end copies: the bytes are sent from the page cache, and dropped in the kernel. */

#include "common.h"

#define MOST 4096

int main(int count, char **arguments) {
    static char sends[MOST]; /* whether a descriptor is one that sends */
    struct epoll_event events[EVENTS];
    if (count != 5) return 2;
    int listening = listen_on(atoi(arguments[2])), loop = epoll_create1(0), file = memfd_create("bulk", 0);
    double seconds = atof(arguments[4]), bytes = 0;
    if (file < 0 || ftruncate(file, PIECE)) die("memfd_create");
    signal(SIGPIPE, SIG_IGN);
    watch(loop, listening, EPOLLIN);
    for (int i = atoi(arguments[3]); i; i--) {
        int fd = connect_to(atoi(arguments[1]));
        fcntl(fd, F_SETFL, O_NONBLOCK);
        watch(loop, fd, EPOLLIN);
    }
    double started = now(), used = cpu(), end = started + seconds;
    while (now() < end) {
        int ready = epoll_wait(loop, events, EVENTS, 1000);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listening) {
                int accepted = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
                if (accepted < 0 || accepted >= MOST) die("accept");
                sends[accepted] = 1;
                watch(loop, accepted, EPOLLOUT);
            } else if (sends[fd]) {
                off_t from = 0;
                if (sendfile(fd, file, &from, PIECE) < 0 && errno != EAGAIN) die("the proxy closed, sendfile");
            } else {
                ssize_t found = recv(fd, NULL, PIECE, MSG_TRUNC);
                if (found == 0 || (found < 0 && errno != EAGAIN)) die("the proxy closed, recv");
                if (found > 0) bytes += found;
            }
        }
    }
    report(bytes, now() - started, cpu() - used);
    return 0;
}
