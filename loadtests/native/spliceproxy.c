/* A TCP proxy whose bytes never leave the kernel, on one thread and epoll: spliceproxy PORT TARGET_PORT */

#include "common.h"

#define MOST 4096
#define PIPE_SIZE (1024 * 1024)

struct way {
    int pipe[2], peer, held, open;
};
static struct way ways[MOST]; /* from each descriptor to its peer */

static void end(int fd) {
    int peer = ways[fd].peer;
    for (int i = 0; i < 2; i++) {
        int one = i ? peer : fd;
        close(ways[one].pipe[0]);
        close(ways[one].pipe[1]);
        close(one);
        ways[one].open = 0;
    }
}

/* Move what there is from `fd` to its peer; 0 when the two have to end. */
static int move(int fd) {
    struct way *way = &ways[fd];
    for (;;) {
        ssize_t came = way->held ? 0 : splice(fd, NULL, way->pipe[1], NULL, PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (came == 0 && !way->held) return 0;
        if (came < 0) return errno == EAGAIN;
        way->held += came;
        while (way->held) {
            ssize_t gone = splice(way->pipe[0], NULL, way->peer, NULL, way->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            if (gone <= 0) return gone < 0 && errno == EAGAIN;
            way->held -= gone;
        }
    }
}

static void join(int loop, int fd, int peer) {
    ways[fd] = (struct way){.peer = peer, .open = 1};
    if (pipe2(ways[fd].pipe, O_NONBLOCK)) die("pipe");
    fcntl(ways[fd].pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
    watch(loop, fd, EPOLLIN | EPOLLOUT | EPOLLET);
}

int main(int count, char **arguments) {
    struct epoll_event events[EVENTS];
    if (count != 3) return 2;
    int listening = listen_on(atoi(arguments[1])), loop = epoll_create1(0);
    struct sockaddr_in target = loopback(atoi(arguments[2]));
    watch(loop, listening, EPOLLIN);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int ready = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listening) {
                int client = accept4(listening, NULL, NULL, SOCK_NONBLOCK), server = socket(AF_INET, SOCK_STREAM, 0);
                if (client < 0 || server < 0 || connect(server, (void *)&target, sizeof target)) {
                    close(client);
                    close(server);
                    continue;
                }
                fcntl(server, F_SETFL, O_NONBLOCK);
                no_delay(client);
                no_delay(server);
                join(loop, client, server);
                join(loop, server, client);
                continue;
            }
            /* Either may have more to give, or room for what the other has given. */
            if (ways[fd].open && (!move(fd) || !move(ways[fd].peer))) end(fd);
        }
    }
}
