/*
 * The least that keeping a message can cost: standard input to a new file, the file and its directory synced. What
 * every queue is measured against; built static, so that its start costs nothing.
 *
 *     bare DIRECTORY < MESSAGE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int fail(const char *what) {
    perror(what);
    return 74;
}

int main(int argc, char **argv) {
    static char block[64 * 1024];
    char name[32];
    ssize_t count;
    int directory, file;
    if (argc != 2) return 64;
    directory = open(argv[1], O_RDONLY | O_DIRECTORY);
    if (directory < 0) return fail(argv[1]);
    snprintf(name, sizeof name, "m%ld", (long)getpid());
    file = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) return fail(name);
    while ((count = read(0, block, sizeof block)) != 0) {
        if (count < 0) return fail("standard input");
        for (ssize_t done = 0, now; done < count; done += now) {
            now = write(file, block + done, (size_t)(count - done));
            if (now < 0) return fail(name);
        }
    }
    if (fsync(file) < 0) return fail(name);
    if (fsync(directory) < 0) return fail(argv[1]);
    return 0;
}
