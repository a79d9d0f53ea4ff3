/* Connects to a host and a port, sends a word, and says so when it comes back. Linked statically: nothing can be slipped
 * between this and the kernel. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found;
    char reply[8] = {0};
    int error, connection;

    if (count != 3)
        return 2;
    error = getaddrinfo(words[1], words[2], &wanted, &found);
    if (error) {
        fprintf(stderr, "%s: %s\n", words[1], gai_strerror(error));
        return 1;
    }
    connection = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(connection, found->ai_addr, found->ai_addrlen) < 0) {
        perror(words[1]);
        return 1;
    }
    if (write(connection, "word", 4) != 4 || read(connection, reply, 4) != 4 || strcmp(reply, "word"))
        return 1;
    printf("%s: echoed\n", words[1]);
    return 0;
}
