/* Ask an echo server over many connections, each of them one message after the other, and count the answers:
   echoload PORT CONNECTIONS BYTES SECONDS

   It never sleeps. Waking a sleeping client is a good part of a server's `send`, and the better a server is, the more often
   its client would sleep. */

#include "common.h"

#define MOST 4096

int main(int count, char **arguments) {
    static char message[65536], buffer[65536];
    static int missing[MOST]; /* bytes that are still to come, by descriptor */
    struct epoll_event events[EVENTS];
    if (count != 5) return 2;
    int port = atoi(arguments[1]), connections = atoi(arguments[2]), size = atoi(arguments[3]), loop = epoll_create1(0);
    double seconds = atof(arguments[4]), answers = 0;
    for (int i = 0; i < size; i++) message[i] = 'a' + i % 26;
    for (int i = 0; i < connections; i++) {
        int fd = connect_to(port);
        if (fd >= MOST) return 2;
        watch(loop, fd, EPOLLIN);
        missing[fd] = size;
        if (write(fd, message, size) != size) die("write");
    }
    double started = now(), used = cpu(), last = started, idle = 0;
    while (last < started + seconds) {
        int ready = epoll_wait(loop, events, EVENTS, 0);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            ssize_t found = read(fd, buffer, sizeof buffer);
            if (found <= 0) die("the server closed, read");
            if (found > missing[fd] || memcmp(buffer, message + size - missing[fd], found)) {
                fprintf(stderr, "the server answered something else\n");
                return 1;
            }
            missing[fd] -= found;
            if (missing[fd]) continue;
            missing[fd] = size;
            answers++;
            if (write(fd, message, size) != size) die("write");
        }
        double time = now();
        if (!ready) idle += time - last;
        last = time;
    }
    report(answers, last - started, cpu() - used - idle);
    return 0;
}
