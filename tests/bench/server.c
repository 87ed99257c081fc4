/*
 * The SMTP server of the benchmark: it takes everything, keeps nothing and is as fast as can be, so that what is
 * measured is the client. One thread for each connection; replies are gathered as long as there is input (RFC 2920).
 *
 *     server plain|starttls|tls PORT [CERTIFICATE KEY [nochunking]]
 *
 * For each message it prints `flights=N recipients=N octets=N`. A flight is something the client had to say after it
 * had waited for the server; the TLS handshake counts as one.
 *
 * It listens on 127.0.0.1 alone.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, REPLIES = 64 * 1024 };

static SSL_CTX *context;
static int starttls, implicit, chunking = 1;

struct connection {
    int socket;
    SSL *ssl;
    char in[BUFFER], out[REPLIES];
    size_t begin, end, out_len;
    int flights, waiting, recipients;
    unsigned long long octets;
};

static void flush(struct connection *c) {
    size_t done = 0;
    while (done < c->out_len) {
        int n = c->ssl ? SSL_write(c->ssl, c->out + done, (int)(c->out_len - done))
                       : (int)send(c->socket, c->out + done, c->out_len - done, MSG_NOSIGNAL);
        if (n <= 0) break;
        done += (size_t)n;
    }
    if (c->out_len) c->waiting = 1;
    c->out_len = 0;
}

static void say(struct connection *c, const char *text) {
    size_t len = strlen(text);
    if (c->out_len + len > REPLIES) flush(c);
    memcpy(c->out + c->out_len, text, len);
    c->out_len += len;
}

/* More input behind what is there; 0 at the end. */
static int fill(struct connection *c) {
    flush(c);
    if (c->begin == c->end) c->begin = c->end = 0;
    if (c->end == BUFFER) {
        memmove(c->in, c->in + c->begin, c->end - c->begin);
        c->end -= c->begin;
        c->begin = 0;
    }
    if (c->end == BUFFER) return 0;
    int room = (int)(BUFFER - c->end);
    int n = c->ssl ? SSL_read(c->ssl, c->in + c->end, room) : (int)recv(c->socket, c->in + c->end, (size_t)room, 0);
    if (n <= 0) return 0;
    c->flights += c->waiting;
    c->waiting = 0;
    c->end += (size_t)n;
    return 1;
}

/* The next line without its line end; none at the end of the input. */
static char *line(struct connection *c) {
    for (;;) {
        char *from = c->in + c->begin, *newline = memchr(from, '\n', c->end - c->begin);
        if (newline) {
            *newline = 0;
            if (newline > from && newline[-1] == '\r') newline[-1] = 0;
            c->begin = (size_t)(newline + 1 - c->in);
            return from;
        }
        if (!fill(c)) return NULL;
    }
}

static int handshake(struct connection *c) {
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, c->socket);
    c->begin = c->end = 0;
    c->flights++;
    /* After it the client has waited for the server's part of the handshake. */
    c->waiting = 1;
    return SSL_accept(c->ssl) == 1;
}

static int take_data(struct connection *c) {
    say(c, "354 go on\r\n");
    c->octets = 0;
    /* The begin of the text is the begin of a line. */
    if (c->begin == c->end && !fill(c)) return 0;
    for (;;) {
        char *from = c->in + c->begin;
        size_t len = c->end - c->begin;
        if (c->octets == 0 && len >= 3 && !memcmp(from, ".\r\n", 3)) {
            c->begin += 3;
            return 1;
        }
        char *end = memmem(from, len, "\r\n.\r\n", 5);
        if (end) {
            c->octets += (size_t)(end - from) + 2;
            c->begin = (size_t)(end + 5 - c->in);
            return 1;
        }
        size_t keep = len < 4 ? len : 4;
        c->octets += len - keep;
        c->begin += len - keep;
        if (!fill(c)) return 0;
    }
}

static int take_chunk(struct connection *c, unsigned long long size) {
    c->octets += size;
    while (size) {
        size_t have = c->end - c->begin;
        if (have > size) have = (size_t)size;
        c->begin += have;
        size -= have;
        if (size && !fill(c)) return 0;
    }
    return 1;
}

static void taken(struct connection *c) {
    char text[96];
    snprintf(text, sizeof text, "250 2.0.0 taken, flights=%d\r\n", c->flights);
    say(c, text);
    printf("flights=%d recipients=%d octets=%llu\n", c->flights, c->recipients, c->octets);
    fflush(stdout);
    c->octets = 0;
    c->recipients = 0;
}

static void hello(struct connection *c) {
    say(c, "250-bench.example.com\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n");
    if (chunking) say(c, "250-CHUNKING\r\n");
    if (starttls && !c->ssl) say(c, "250-STARTTLS\r\n");
    if (c->ssl) say(c, "250-AUTH PLAIN LOGIN\r\n");
    say(c, "250 SMTPUTF8\r\n");
}

/* One command; 0 ends the connection. */
static int command(struct connection *c, char *text) {
    if (!strncasecmp(text, "EHLO", 4) || !strncasecmp(text, "HELO", 4)) {
        hello(c);
    } else if (!strncasecmp(text, "STARTTLS", 8)) {
        say(c, "220 2.0.0 ready\r\n");
        flush(c);
        return handshake(c);
    } else if (!strncasecmp(text, "AUTH LOGIN", 10)) {
        say(c, "334 VXNlcm5hbWU6\r\n");
        if (!line(c)) return 0;
        say(c, "334 UGFzc3dvcmQ6\r\n");
        if (!line(c)) return 0;
        say(c, "235 2.7.0 welcome\r\n");
    } else if (!strncasecmp(text, "AUTH", 4)) {
        if (strlen(text) < 12) {
            say(c, "334 \r\n");
            if (!line(c)) return 0;
        }
        say(c, "235 2.7.0 welcome\r\n");
    } else if (!strncasecmp(text, "RCPT", 4)) {
        c->recipients++;
        say(c, "250 2.1.5 ok\r\n");
    } else if (!strncasecmp(text, "DATA", 4)) {
        if (!take_data(c)) return 0;
        taken(c);
    } else if (!strncasecmp(text, "BDAT ", 5)) {
        char *rest;
        unsigned long long size = strtoull(text + 5, &rest, 10);
        int last = strcasestr(rest, "LAST") != NULL;
        if (!take_chunk(c, size)) return 0;
        if (last) taken(c);
        else say(c, "250 2.0.0 ok\r\n");
    } else if (!strncasecmp(text, "QUIT", 4)) {
        say(c, "221 2.0.0 bye\r\n");
        flush(c);
        return 0;
    } else {
        say(c, "250 2.0.0 ok\r\n");
    }
    return 1;
}

static void *serve(void *given) {
    struct connection *c = given;
    int on = 1;
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!implicit || handshake(c)) {
        say(c, "220 bench.example.com ESMTP\r\n");
        char *text;
        while ((text = line(c)) && command(c, text)) {}
    }
    if (c->ssl) {
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    close(c->socket);
    free(c);
    return NULL;
}

static SSL_CTX *tls(const char *certificate, const char *key) {
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    if (!made || SSL_CTX_use_certificate_chain_file(made, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(made, key, SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "server: %s or %s is no good\n", certificate, key);
        exit(1);
    }
    SSL_CTX_set_mode(made, SSL_MODE_AUTO_RETRY);
    return made;
}

int main(int count, char **args) {
    if (count < 3) {
        fprintf(stderr, "usage: server plain|starttls|tls PORT [CERTIFICATE KEY [nochunking]]\n");
        return 64;
    }
    starttls = !strcmp(args[1], "starttls");
    implicit = !strcmp(args[1], "tls");
    chunking = !(count > 5 && !strcmp(args[5], "nochunking"));
    if (count > 4 && (starttls || implicit)) context = tls(args[3], args[4]);
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(args[2]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128)) {
        perror("server");
        return 1;
    }
    for (;;) {
        int socket = accept(listener, NULL, NULL);
        if (socket < 0) continue;
        struct connection *c = malloc(sizeof *c);
        if (!c) return 1;
        memset(c, 0, offsetof(struct connection, in));
        c->socket = socket;
        c->begin = c->end = c->out_len = 0;
        c->flights = c->waiting = c->recipients = 0;
        c->octets = 0;
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, c)) return 1;
        pthread_detach(thread);
    }
}
