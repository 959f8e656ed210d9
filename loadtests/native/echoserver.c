/* Echo on one thread and epoll, as fast as it goes: echoserver PORT */

#include "common.h"

int main(int count, char **arguments) {
    static char buffer[65536];
    struct epoll_event events[EVENTS];
    if (count != 2) return 2;
    int listening = listen_on(atoi(arguments[1])), loop = epoll_create1(0);
    watch(loop, listening, EPOLLIN);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int ready = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listening) {
                int accepted = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
                if (accepted < 0) continue;
                no_delay(accepted);
                watch(loop, accepted, EPOLLIN);
                continue;
            }
            ssize_t size = read(fd, buffer, sizeof buffer);
            /* The clients here take everything at once, or are gone. */
            if (size <= 0 || write(fd, buffer, size) != size) close(fd);
        }
    }
}
