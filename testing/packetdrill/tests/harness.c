/* Drives the library through the C struct, as packetdrill does: both roles of a connection, a call that waits on a second
 * thread, virtual time, and garbage in every entry point. Usage: harness LIBRARY. Prints what fails, with its line. */
#define _GNU_SOURCE
#include "interface.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define CHECK(holds)                                                                      \
    do {                                                                                  \
        if (!(holds)) {                                                                   \
            fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #holds, errno); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

#define LOCAL "192.168.0.1"
#define REMOTE "192.0.2.1"

static struct interface it;
static unsigned char packet[65536];

struct segment {
    unsigned flags;
    uint32_t seq, ack;
    const void *data;
    size_t length;
};

static uint32_t sum(const unsigned char *bytes, size_t length, uint32_t total) {
    for (size_t at = 0; at < length; at++)
        total += at % 2 ? bytes[at] : bytes[at] << 8;
    return total;
}

static uint16_t fold(uint32_t total) {
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return htons(~total & 0xffff);
}

/* A segment from the far side arrives. */
static void arrive(uint16_t from, uint16_t to, struct segment segment) {
    unsigned char frame[2048] = {0};
    struct ip *ip = (void *)frame;
    struct tcphdr *tcp = (void *)(frame + sizeof *ip);
    size_t tcp_length = sizeof *tcp + segment.length;
    ip->ip_v = 4, ip->ip_hl = 5, ip->ip_ttl = 64, ip->ip_p = IPPROTO_TCP;
    ip->ip_len = htons(sizeof *ip + tcp_length);
    inet_pton(AF_INET, REMOTE, &ip->ip_src), inet_pton(AF_INET, LOCAL, &ip->ip_dst);
    ip->ip_sum = fold(sum(frame, sizeof *ip, 0));
    tcp->th_sport = htons(from), tcp->th_dport = htons(to), tcp->th_off = 5;
    tcp->th_seq = htonl(segment.seq), tcp->th_ack = htonl(segment.ack);
    tcp->th_flags = segment.flags, tcp->th_win = htons(65535);
    if (segment.length)
        memcpy(tcp + 1, segment.data, segment.length);
    uint32_t pseudo = sum(frame + 12, 8, IPPROTO_TCP + tcp_length);
    tcp->th_sum = fold(sum((void *)tcp, tcp_length, pseudo));
    CHECK(it.netdev_send(it.user, frame, sizeof *ip + tcp_length) == 0);
}

/* The next segment that leaves, which has to have these flags. */
static struct segment leaves(unsigned flags, long long *time_us) {
    size_t length = 0;
    long long ignored;
    /* The thread that makes it leave may not have got to it. */
    for (int tries = 0; tries < 1000 && length == 0; tries++) {
        length = sizeof packet;
        CHECK(it.netdev_receive(it.user, packet, &length, time_us ? time_us : &ignored) == 0);
    }
    CHECK(length >= sizeof(struct ip) + sizeof(struct tcphdr));
    struct ip *ip = (void *)packet;
    struct tcphdr *tcp = (void *)(packet + sizeof *ip);
    size_t headers = sizeof *ip + tcp->th_off * 4;
    CHECK(ip->ip_v == 4 && ntohs(ip->ip_len) == length && tcp->th_flags == flags);
    return (struct segment){tcp->th_flags, ntohl(tcp->th_seq), ntohl(tcp->th_ack), packet + headers, length - headers};
}

static struct sockaddr_in address(const char *text, uint16_t port) {
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, text, &made.sin_addr);
    return made;
}

static long long now_us(void) {
    struct timeval time;
    CHECK(it.gettimeofday(it.user, &time, NULL) == 0);
    return time.tv_sec * 1000000LL + time.tv_usec;
}

static void time_is_virtual(void) {
    long long first = now_us();
    CHECK(now_us() == first + 1);
    CHECK(it.usleep(it.user, 3000000) == 0);
    CHECK(now_us() == first + 3000002);
}

struct waiting {
    int fd;
    char bytes[64];
    ssize_t length;
    struct sockaddr_in peer;
};

static void *wait_in_accept(void *argument) {
    struct waiting *waiting = argument;
    socklen_t length = sizeof waiting->peer;
    waiting->fd = it.accept(it.user, waiting->fd, (void *)&waiting->peer, &length);
    if (waiting->fd >= 0)
        waiting->length = it.read(it.user, waiting->fd, waiting->bytes, sizeof waiting->bytes);
    return NULL;
}

/* Accept and read wait on a second thread; then the peer closes first. */
static void passive_role(void) {
    struct sockaddr_in own = address(LOCAL, 8080);
    int fd = it.socket(it.user, AF_INET, SOCK_STREAM, IPPROTO_TCP), on = 1;
    CHECK(fd > 2 && fcntl(fd, F_GETFD) >= 0);
    CHECK(it.setsockopt(it.user, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    CHECK(it.bind(it.user, fd, (void *)&own, sizeof own) == 0);
    CHECK(it.listen(it.user, fd, 1) == 0);
    struct waiting waiting = {.fd = fd};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_in_accept, &waiting) == 0);

    arrive(5000, 8080, (struct segment){.flags = TH_SYN, .seq = 100});
    struct segment answer = leaves(TH_SYN | TH_ACK, NULL);
    CHECK(answer.ack == 101);
    uint32_t seq = answer.seq + 1;
    arrive(5000, 8080, (struct segment){TH_ACK, 101, seq, NULL, 0});
    arrive(5000, 8080, (struct segment){TH_ACK | TH_PUSH, 101, seq, "hello", 5});
    CHECK(leaves(TH_ACK, NULL).ack == 106);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(waiting.length == 5 && memcmp(waiting.bytes, "hello", 5) == 0);
    CHECK(waiting.peer.sin_port == htons(5000));
    CHECK(waiting.fd > 2 && waiting.fd != fd && fcntl(waiting.fd, F_GETFD) >= 0);

    CHECK(it.write(it.user, waiting.fd, "world!", 6) == 6);
    struct segment data = leaves(TH_ACK | TH_PUSH, NULL);
    CHECK(data.seq == seq && data.length == 6 && memcmp(data.data, "world!", 6) == 0);
    struct tcp_info info;
    socklen_t info_length = sizeof info;
    CHECK(it.getsockopt(it.user, waiting.fd, IPPROTO_TCP, TCP_INFO, &info, &info_length) == 0);
    CHECK(info_length >= 104 && info.tcpi_state == TCP_ESTABLISHED && info.tcpi_snd_mss == 536);
    CHECK(info.tcpi_unacked == 1 && info.tcpi_pmtu == 1500 && info.tcpi_snd_cwnd == 10);
    int count = -1;
    CHECK(it.ioctl(it.user, waiting.fd, TIOCOUTQ, &count) == 0 && count == 6);
    arrive(5000, 8080, (struct segment){TH_ACK | TH_FIN, 106, seq + 6, NULL, 0});
    CHECK(leaves(TH_ACK, NULL).ack == 107);
    CHECK(it.read(it.user, waiting.fd, waiting.bytes, 10) == 0);
    CHECK(it.close(it.user, waiting.fd) == 0);
    CHECK(leaves(TH_ACK | TH_FIN, NULL).seq == seq + 6);
    arrive(5000, 8080, (struct segment){TH_ACK, 107, seq + 7, NULL, 0});
    CHECK(it.close(it.user, fd) == 0 && it.close(it.user, fd) == -1 && errno == EBADF);
}

static void *wait_in_connect(void *argument) {
    struct waiting *waiting = argument;
    struct sockaddr_in far = address(REMOTE, 9090);
    waiting->length = it.connect(it.user, waiting->fd, (void *)&far, sizeof far);
    return NULL;
}

/* Connect waits on a second thread, its SYN is lost once, and we close first. */
static void active_role(void) {
    struct waiting waiting = {.fd = it.socket(it.user, AF_INET, SOCK_STREAM, 0), .length = 7};
    CHECK(waiting.fd > 2);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_in_connect, &waiting) == 0);
    long long first, second;
    struct segment syn = leaves(TH_SYN, &first);
    uint16_t port = ntohs(((struct tcphdr *)(packet + sizeof(struct ip)))->th_sport);
    CHECK(leaves(TH_SYN, &second).seq == syn.seq && second - first >= 1000000 && second - first < 1010000);
    arrive(9090, port, (struct segment){TH_SYN | TH_ACK, 700, syn.seq + 1, NULL, 0});
    CHECK(leaves(TH_ACK, NULL).ack == 701);
    CHECK(pthread_join(thread, NULL) == 0 && waiting.length == 0);

    struct iovec parts[2] = {{"ab", 2}, {"cde", 3}};
    CHECK(it.writev(it.user, waiting.fd, parts, 2) == 5);
    CHECK(memcmp(leaves(TH_ACK | TH_PUSH, NULL).data, "abcde", 5) == 0);
    arrive(9090, port, (struct segment){TH_ACK | TH_PUSH, 701, syn.seq + 6, "12345", 5});
    CHECK(leaves(TH_ACK, NULL).ack == 706);
    struct pollfd watched = {waiting.fd, POLLIN | POLLOUT, 0};
    CHECK(it.poll(it.user, &watched, 1, 0) == 1 && watched.revents == (POLLIN | POLLOUT));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 42}, told;
    int epoll = it.epoll_create(it.user, 1);
    CHECK(it.epoll_ctl(it.user, epoll, EPOLL_CTL_ADD, waiting.fd, &event) == 0);
    CHECK(it.epoll_wait(it.user, epoll, &told, 1, 0) == 1 && told.data.u64 == 42 && told.events == EPOLLIN);
    char left[2], right[8];
    struct iovec rooms[2] = {{left, 2}, {right, 8}};
    struct msghdr message = {.msg_iov = rooms, .msg_iovlen = 2};
    CHECK(it.recvmsg(it.user, waiting.fd, &message, 0) == 5);
    CHECK(memcmp(left, "12", 2) == 0 && memcmp(right, "345", 3) == 0);
    CHECK(it.recv(it.user, waiting.fd, left, 2, MSG_DONTWAIT) == -1 && errno == EAGAIN);

    CHECK(it.shutdown(it.user, waiting.fd, SHUT_WR) == 0);
    CHECK(leaves(TH_ACK | TH_FIN, NULL).seq == syn.seq + 6);
    CHECK(it.write(it.user, waiting.fd, "x", 1) == -1 && errno == EPIPE);
    arrive(9090, port, (struct segment){TH_ACK | TH_FIN, 706, syn.seq + 7, NULL, 0});
    CHECK(leaves(TH_ACK, NULL).ack == 707);
    CHECK(it.close(it.user, waiting.fd) == 0 && it.close(it.user, epoll) == 0);
}

/* A reset refuses, and SO_ERROR tells so once. */
static void refusal(void) {
    struct sockaddr_in far = address(REMOTE, 9091);
    int fd = it.socket(it.user, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = 0;
    socklen_t length = sizeof error;
    CHECK(it.fcntl(it.user, fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
    CHECK(it.connect(it.user, fd, (void *)&far, sizeof far) == -1 && errno == EINPROGRESS);
    CHECK(it.connect(it.user, fd, (void *)&far, sizeof far) == -1 && errno == EALREADY);
    struct segment syn = leaves(TH_SYN, NULL);
    uint16_t port = ntohs(((struct tcphdr *)(packet + sizeof(struct ip)))->th_sport);
    arrive(9091, port, (struct segment){TH_RST | TH_ACK, 0, syn.seq + 1, NULL, 0});
    CHECK(it.getsockopt(it.user, fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == ECONNREFUSED);
    CHECK(it.getsockopt(it.user, fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
    CHECK(it.close(it.user, fd) == 0);
}

#define FAILS(call, number) CHECK((errno = 0, (call)) == -1 && errno == (number))

/* Every entry point with null pointers, wrong descriptors, wrong lengths. */
static void garbage(void) {
    int fd = it.socket(it.user, AF_INET, SOCK_STREAM, 0), two[2];
    struct sockaddr_in own = address(LOCAL, 8081);
    char byte;
    size_t length = 0;
    long long time;
    struct epoll_event event = {0};
    CHECK(fd > 2);
    for (int wrong = -1; wrong <= 1000000; wrong += 1000001) {
        FAILS(it.bind(it.user, wrong, (void *)&own, sizeof own), EBADF);
        FAILS(it.listen(it.user, wrong, 1), EBADF);
        FAILS(it.accept(it.user, wrong, NULL, NULL), EBADF);
        FAILS(it.connect(it.user, wrong, (void *)&own, sizeof own), EBADF);
        FAILS(it.read(it.user, wrong, &byte, 1), EBADF);
        FAILS(it.write(it.user, wrong, &byte, 1), EBADF);
        FAILS(it.fcntl(it.user, wrong, F_GETFL), EBADF);
        FAILS(it.ioctl(it.user, wrong, FIONREAD, two), EBADF);
        FAILS(it.close(it.user, wrong), EBADF);
        FAILS(it.shutdown(it.user, wrong, SHUT_WR), EBADF);
        FAILS(it.epoll_ctl(it.user, wrong, EPOLL_CTL_ADD, fd, &event), EBADF);
        FAILS(it.epoll_wait(it.user, wrong, &event, 1, 0), EBADF);
    }
    FAILS(it.socket(it.user, AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
    FAILS(it.socket(it.user, AF_INET, SOCK_DGRAM, 0), EPROTONOSUPPORT);
    FAILS(it.bind(it.user, fd, NULL, sizeof own), EFAULT);
    FAILS(it.bind(it.user, fd, (void *)&own, 3), EINVAL);
    FAILS(it.connect(it.user, fd, NULL, 16), EFAULT);
    FAILS(it.read(it.user, fd, NULL, 1), EFAULT);
    FAILS(it.read(it.user, fd, &byte, 1), ENOTCONN);
    FAILS(it.readv(it.user, fd, NULL, 1), EFAULT);
    FAILS(it.readv(it.user, fd, NULL, -1), EINVAL);
    FAILS(it.recvmsg(it.user, fd, NULL, 0), EFAULT);
    FAILS(it.recv(it.user, fd, &byte, 1, MSG_OOB), EOPNOTSUPP);
    FAILS(it.write(it.user, fd, NULL, 1), EFAULT);
    FAILS(it.write(it.user, fd, &byte, SIZE_MAX), EINVAL);
    FAILS(it.writev(it.user, fd, NULL, 2), EFAULT);
    FAILS(it.writev(it.user, fd, NULL, 1 << 20), EINVAL);
    FAILS(it.sendmsg(it.user, fd, NULL, 0), EFAULT);
    FAILS(it.sendto(it.user, fd, &byte, 1, 0, (void *)&own, sizeof own), EISCONN);
    FAILS(it.ioctl(it.user, fd, 0xdead), ENOTTY);
    FAILS(it.fcntl(it.user, fd, 0xdead), EINVAL);
    FAILS(it.shutdown(it.user, fd, SHUT_WR), ENOTCONN);
    FAILS(it.getsockopt(it.user, fd, SOL_SOCKET, SO_ERROR, NULL, NULL), EFAULT);
    FAILS(it.setsockopt(it.user, fd, SOL_SOCKET, SO_KEEPALIVE, NULL, 4), EFAULT);
    FAILS(it.setsockopt(it.user, fd, SOL_SOCKET, SO_KEEPALIVE, &byte, 1), EINVAL);
    FAILS(it.setsockopt(it.user, fd, 12345, 6, two, 4), ENOPROTOOPT);
    FAILS(it.poll(it.user, NULL, 1, 0), EFAULT);
    FAILS(it.poll(it.user, NULL, 1 << 20, 0), EINVAL);
    FAILS(it.epoll_create(it.user, 0), EINVAL);
    FAILS(it.epoll_wait(it.user, fd, &event, 1, 0), EINVAL);
    FAILS(it.netdev_send(it.user, NULL, 40), EFAULT);
    FAILS(it.netdev_send(it.user, packet, 0), EINVAL);
    FAILS(it.netdev_send(it.user, packet, 1 << 20), EINVAL);
    FAILS(it.netdev_receive(it.user, NULL, &length, &time), EFAULT);
    FAILS(it.netdev_receive(it.user, packet, NULL, &time), EFAULT);
    FAILS(it.netdev_receive(it.user, packet, &length, NULL), EFAULT);
    FAILS(it.gettimeofday(it.user, NULL, NULL), EFAULT);
    FAILS(it.pipe(it.user, two), ENOSYS);
    FAILS(it.splice(it.user, 0, NULL, 1, NULL, 1, 0), ENOSYS);
    for (size_t size = 1; size < 100; size++) {
        memset(packet, (int)size * 37, sizeof packet);
        packet[0] = size % 2 ? 0x45 : 0x60;
        CHECK(it.netdev_send(it.user, packet, size) == 0);
    }
    FAILS(it.socket(NULL, AF_INET, SOCK_STREAM, 0), EINVAL);
    FAILS(it.usleep((void *)0x1234, 1), EINVAL);
    CHECK(it.close(it.user, fd) == 0);
}

int main(int count, char **words) {
    CHECK(count == 2);
    void *library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library);
    interface_init init = (interface_init)dlsym(library, "packetdrill_interface_init");
    CHECK(init);
    init("nonsense", &it);
    CHECK(!it.user);
    FAILS(it.socket(it.user, AF_INET, SOCK_STREAM, 0), EINVAL);
    init(NULL, NULL);
    init(NULL, &it);
    CHECK(it.user);
    time_is_virtual();
    passive_role();
    active_role();
    refusal();
    garbage();
    it.free(it.user);
    FAILS(it.socket(it.user, AF_INET, SOCK_STREAM, 0), EINVAL);
    it.free(it.user);
    it.free(NULL);
    puts("done");
    return 0;
}
