/*
 * Runs a command many times, so many at once, each with the message as its standard input, without a shell.
 *
 *     many COUNT PARALLEL MESSAGE COMMAND [ARGUMENT...]
 *
 * Prints one line: seconds in all, how many failed, the median of one run in milliseconds, and the clock (seconds since
 * 1970) when it began.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc < 5) return 64;
    int count = atoi(argv[1]), parallel = atoi(argv[2]), started = 0, ended = 0, failed = 0;
    double *begun = calloc((size_t)count, sizeof *begun), *took = calloc((size_t)count, sizeof *took);
    pid_t *runs = calloc((size_t)count, sizeof *runs);
    posix_spawn_file_actions_t actions;
    if (count < 1 || !begun || !took || !runs) return 64;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, argv[3], O_RDONLY, 0);
    double clock = now(CLOCK_REALTIME), first = now(CLOCK_MONOTONIC);
    while (ended < count) {
        while (started < count && started - ended < parallel) {
            begun[started] = now(CLOCK_MONOTONIC);
            if (posix_spawnp(&runs[started], argv[4], &actions, NULL, argv + 4, environ) != 0) {
                perror(argv[4]);
                return 71;
            }
            started++;
        }
        int status;
        pid_t pid = wait(&status);
        if (pid < 0) return 71;
        for (int i = 0; i < started; i++) {
            if (runs[i] != pid) continue;
            runs[i] = 0;
            took[ended++] = now(CLOCK_MONOTONIC) - begun[i];
            failed += status != 0;
            break;
        }
    }
    double seconds = now(CLOCK_MONOTONIC) - first;
    qsort(took, (size_t)count, sizeof *took, by_size);
    printf("%.6f %d %.3f %.6f\n", seconds, failed, took[count / 2] * 1e3, clock);
    return 0;
}
