/*
 * Runs a command with a file as its standard input, in the place of a shell, whose own time would be measured too:
 *
 *     feed FILE COMMAND ARGUMENT...
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **args) {
    int file = count > 2 ? open(args[1], O_RDONLY) : -1;
    if (file < 0 || dup2(file, 0) < 0) {
        fprintf(stderr, "usage: feed FILE COMMAND ARGUMENT...\n");
        return 64;
    }
    close(file);
    execvp(args[2], args + 2);
    perror(args[2]);
    return 71;
}
