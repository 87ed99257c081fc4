/*
 * The least that a client can do: read the message, connect, and send it in the fewest round trips. It is what the
 * others are measured against, and takes every reply for good that does not begin with 4 or 5.
 *
 *     minimal plain|starttls|tls data|bdat PORT USER PASSWORD FROM RECIPIENT... < MESSAGE
 *
 * It talks to 127.0.0.1 alone. Certificates are checked against the hashed directory of the system.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text {
    char *at;
    size_t len, room;
};

static int socket_fd;
static SSL *ssl;
static char input[64 * 1024];
static size_t input_begin, input_end;

static void die(const char *what) {
    fprintf(stderr, "minimal: %s\n", what);
    exit(69);
}

static void add(struct text *text, const char *data, size_t len) {
    if (text->len + len > text->room) {
        text->room = (text->len + len) * 2;
        text->at = realloc(text->at, text->room);
        if (!text->at) die("no memory");
    }
    memcpy(text->at + text->len, data, len);
    text->len += len;
}

static void add_line(struct text *text, const char *line) { add(text, line, strlen(line)); }

static void put(const char *data, size_t len) {
    while (len) {
        int piece = len > 1 << 20 ? 1 << 20 : (int)len;
        int n = ssl ? SSL_write(ssl, data, piece) : (int)write(socket_fd, data, (size_t)piece);
        if (n <= 0) die("the connection was lost");
        data += n;
        len -= (size_t)n;
    }
}

/* Reads one reply; its last line is left in `last`. */
static void reply(void) {
    for (;;) {
        char *from = input + input_begin, *newline = memchr(from, '\n', input_end - input_begin);
        if (newline) {
            if (newline - from < 3 || *from == '4' || *from == '5') die("refused");
            input_begin = (size_t)(newline + 1 - input);
            if (from[3] != '-') return;
            continue;
        }
        memmove(input, from, input_end - input_begin);
        input_end -= input_begin;
        input_begin = 0;
        int room = (int)(sizeof input - input_end);
        int n = ssl ? SSL_read(ssl, input + input_end, room) : (int)read(socket_fd, input + input_end, (size_t)room);
        if (n <= 0) die("the connection was lost");
        input_end += (size_t)n;
    }
}

static void say(const char *line) {
    put(line, strlen(line));
    reply();
}

static void dial(int port) {
    int on = 1;
    socket_fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(socket_fd, (struct sockaddr *)&address, sizeof address)) die("no connection");
}

static void protect(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_load_verify_dir(context, "/etc/ssl/certs");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    ssl = SSL_new(context);
    SSL_set_fd(ssl, socket_fd);
    SSL_set_tlsext_host_name(ssl, "localhost");
    SSL_set1_host(ssl, "localhost");
    if (SSL_connect(ssl) != 1) die("the certificate is not trusted, or there is no TLS");
}

static void login(const char *user, const char *password) {
    char plain[512], line[1024] = "AUTH PLAIN ";
    int len = snprintf(plain, sizeof plain, "%c%s%c%s", 0, user, 0, password);
    int encoded = EVP_EncodeBlock((unsigned char *)line + 11, (unsigned char *)plain, len);
    strcpy(line + 11 + encoded, "\r\n");
    say(line);
}

/* Standard input with CRLF line ends, dots doubled where `stuff` is set. */
static struct text message(int stuff) {
    struct text raw = {0}, wire = {0};
    char block[64 * 1024];
    ssize_t n;
    while ((n = read(0, block, sizeof block)) > 0) add(&raw, block, (size_t)n);
    wire.room = raw.len + raw.len / 8 + 1024;
    wire.at = malloc(wire.room);
    if (!wire.at) die("no memory");
    for (size_t at = 0; at < raw.len;) {
        char *from = raw.at + at, *newline = memchr(from, '\n', raw.len - at);
        size_t len = newline ? (size_t)(newline - from) : raw.len - at;
        if (stuff && *from == '.') add(&wire, ".", 1);
        add(&wire, from, len);
        add(&wire, "\r\n", 2);
        at += len + 1;
    }
    free(raw.at);
    return wire;
}

int main(int count, char **args) {
    if (count < 8) {
        fprintf(stderr, "usage: minimal plain|starttls|tls data|bdat PORT USER PASSWORD FROM RECIPIENT...\n");
        return 64;
    }
    int bdat = !strcmp(args[2], "bdat"), plain = !strcmp(args[1], "plain");
    signal(SIGPIPE, SIG_IGN);
    struct text body = message(!bdat), flight = {0};
    dial(atoi(args[3]));
    if (!strcmp(args[1], "tls")) protect();
    reply();
    say("EHLO localhost\r\n");
    if (!strcmp(args[1], "starttls")) {
        say("STARTTLS\r\n");
        protect();
        say("EHLO localhost\r\n");
    }
    if (!plain) login(args[4], args[5]);
    char line[1024];
    snprintf(line, sizeof line, "MAIL FROM:<%s> SIZE=%zu\r\n", args[6], body.len);
    add_line(&flight, line);
    for (int at = 7; at < count; at++) {
        snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", args[at]);
        add_line(&flight, line);
    }
    if (bdat) {
        snprintf(line, sizeof line, "BDAT %zu LAST\r\n", body.len);
        add_line(&flight, line);
        add(&flight, body.at, body.len);
        add_line(&flight, "QUIT\r\n");
        put(flight.at, flight.len);
        for (int at = 7; at < count; at++) reply();
    } else {
        add_line(&flight, "DATA\r\n");
        put(flight.at, flight.len);
        for (int at = 7; at < count + 1; at++) reply();
        reply();
        add_line(&body, ".\r\nQUIT\r\n");
        put(body.at, body.len);
    }
    reply();
    reply();
    if (bdat) reply();
    if (ssl) SSL_shutdown(ssl);
    return 0;
}
