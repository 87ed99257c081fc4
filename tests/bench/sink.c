/*
 * The SMTP server that the queues deliver to: plaintext, takes everything, keeps nothing, counts. A thread for each
 * connection; replies are gathered as long as there is input (RFC 2920).
 *
 *     sink PORT FILE
 *
 * FILE holds one line of fixed length: connections, messages, the clock (seconds since 1970) of the last message, and
 * the most connections at once. It listens on 127.0.0.1 alone.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, LINE = 96 };

static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
static long connections, messages, open_now, open_most;
static int file;

/* `connection`: 1 where one begins, -1 where one ends. */
static void count(int connection, int message) {
    char line[LINE + 1];
    static struct timespec at;
    pthread_mutex_lock(&counting);
    if (connection > 0) connections++;
    open_now += connection;
    if (open_now > open_most) open_most = open_now;
    messages += message;
    if (message) clock_gettime(CLOCK_REALTIME, &at);
    snprintf(line, sizeof line, "%10ld %10ld %12ld.%06ld %10ld\n", connections, messages, at.tv_sec, at.tv_nsec / 1000,
             open_most);
    if (pwrite(file, line, strlen(line), 0) < 0) perror("sink");
    pthread_mutex_unlock(&counting);
}

struct client {
    int socket;
    char in[BUFFER];
    size_t begin, end;
    char out[8192];
    size_t said;
};

static void say(struct client *c, const char *text) {
    size_t length = strlen(text);
    if (c->said + length > sizeof c->out) return;
    memcpy(c->out + c->said, text, length);
    c->said += length;
}

/* The next line without its end; what was said goes out before it waits. */
static char *line(struct client *c) {
    for (;;) {
        char *end = memchr(c->in + c->begin, '\n', c->end - c->begin);
        if (end) {
            char *start = c->in + c->begin;
            c->begin = (size_t)(end - c->in) + 1;
            *end = 0;
            if (end > start && end[-1] == '\r') end[-1] = 0;
            return start;
        }
        if (c->begin) memmove(c->in, c->in + c->begin, c->end - c->begin);
        c->end -= c->begin;
        c->begin = 0;
        if (c->end == sizeof c->in) return NULL;
        if (c->said && send(c->socket, c->out, c->said, MSG_NOSIGNAL) < 0) return NULL;
        c->said = 0;
        ssize_t got = recv(c->socket, c->in + c->end, sizeof c->in - c->end, 0);
        if (got <= 0) return NULL;
        c->end += (size_t)got;
    }
}

static void *serve(void *argument) {
    struct client *c = argument;
    char *text;
    say(c, "220 sink\r\n");
    while ((text = line(c))) {
        if (!strncasecmp(text, "EHLO", 4)) {
            say(c, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 0\r\n");
        } else if (!strcasecmp(text, "DATA")) {
            say(c, "354 go on\r\n");
            while ((text = line(c)) && strcmp(text, ".")) continue;
            if (!text) break;
            count(0, 1);
            say(c, "250 taken\r\n");
        } else if (!strcasecmp(text, "QUIT")) {
            say(c, "221 bye\r\n");
            if (send(c->socket, c->out, c->said, MSG_NOSIGNAL) < 0) perror("sink");
            break;
        } else {
            say(c, "250 yes\r\n");
        }
    }
    close(c->socket);
    count(-1, 0);
    free(c);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) return 64;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    file = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1024) < 0) {
        perror("sink");
        return 71;
    }
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int socket = accept(listener, NULL, NULL);
        if (socket < 0) continue;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct client *c = calloc(1, sizeof *c);
        pthread_t thread;
        if (!c) return 71;
        c->socket = socket;
        count(1, 0);
        if (pthread_create(&thread, NULL, serve, c) != 0) return 71;
        pthread_detach(thread);
    }
}
