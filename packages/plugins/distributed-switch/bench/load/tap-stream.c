/*
 * A NIC on a tap device, as QEMU serves one on a stream socket: it listens on a Unix socket, serves one connection, and
 * carries frames both ways, each after its length as 32-bit big-endian.
 *
 *   tap-stream TAP SOCKET FRAMES
 *   tap-stream TAP SOCKET FRAMES dial      dials another one instead of listening: two NICs without a switch between them
 *
 * FRAMES is how many frames that wait at the tap go into one write; QEMU writes each by itself. Frames that the stream
 * does not take wait, and with them the tap, so that the sender in the namespace is slowed and not dropped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME_ROOM 16384
#define BUFFER_BYTES (1024 * 1024)

static uint8_t outgoing[BUFFER_BYTES]; /* from the tap, to the stream */
static uint8_t incoming[BUFFER_BYTES]; /* from the stream, to the tap */

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_tap(const char *name) {
  struct ifreq request;
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (tap < 0) fail("/dev/net/tun");
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (ioctl(tap, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  return tap;
}

static struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  return address;
}

static int open_socket(void) {
  int stream = socket(AF_UNIX, SOCK_STREAM, 0);
  if (stream < 0) fail("socket");
  return stream;
}

static int listen_on(const char *path) {
  struct sockaddr_un address = address_of(path);
  int listener = open_socket();
  unlink(path);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, 1) < 0) fail("listen");
  return listener;
}

static int dial(const char *path) {
  struct sockaddr_un address = address_of(path);
  int stream = open_socket();
  if (connect(stream, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  return stream;
}

/* Writes every whole frame of incoming[0, *filled) to the tap, and moves what is left to the front. */
static void write_frames(int tap, size_t *filled) {
  size_t at = 0;
  while (*filled - at >= 4) {
    uint32_t length;
    memcpy(&length, incoming + at, 4);
    length = ntohl(length);
    if (length > FRAME_ROOM) {
      fprintf(stderr, "a frame of %u bytes\n", length);
      exit(1);
    }
    if (*filled - at < 4 + (size_t)length) break;
    /* A tap refuses frames while its interface is down: they are lost, as on a cable that is not plugged in. */
    if (write(tap, incoming + at + 4, length) < 0 && errno != EIO && errno != EAGAIN && errno != EINVAL) fail("tap");
    at += 4 + length;
  }
  memmove(incoming, incoming + at, *filled - at);
  *filled -= at;
}

static void serve(int tap, int stream, int frames_per_write) {
  size_t filled = 0, pending = 0, sent = 0;
  for (;;) {
    struct pollfd fds[2] = {
      { .fd = stream, .events = POLLIN | (pending > sent ? POLLOUT : 0) },
      { .fd = pending > sent ? -1 : tap, .events = POLLIN },
    };
    if (poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      fail("poll");
    }
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
      ssize_t got = read(stream, incoming + filled, BUFFER_BYTES - filled);
      if (got == 0 || (got < 0 && errno != EAGAIN)) return;
      if (got > 0) {
        filled += (size_t)got;
        write_frames(tap, &filled);
      }
    }
    if (pending == sent && (fds[1].revents & POLLIN)) {
      int frames = 0;
      pending = sent = 0;
      while (frames < frames_per_write && pending + 4 + FRAME_ROOM <= BUFFER_BYTES) {
        ssize_t got = read(tap, outgoing + pending + 4, FRAME_ROOM);
        uint32_t length;
        if (got <= 0) break;
        length = htonl((uint32_t)got);
        memcpy(outgoing + pending, &length, 4);
        pending += 4 + (size_t)got;
        frames += 1;
      }
    }
    while (pending > sent) {
      ssize_t put = write(stream, outgoing + sent, pending - sent);
      if (put < 0 && errno == EAGAIN) break;
      if (put < 0) return;
      sent += (size_t)put;
    }
  }
}

int main(int argc, char **argv) {
  int tap, listener, stream, is_dialling;
  is_dialling = argc == 5 && strcmp(argv[4], "dial") == 0;
  if (argc != 4 && !is_dialling) {
    fprintf(stderr, "usage: %s TAP SOCKET FRAMES [dial]\n", argv[0]);
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  tap = open_tap(argv[1]);
  listener = is_dialling ? -1 : listen_on(argv[2]);
  stream = is_dialling ? dial(argv[2]) : -1;
  puts("ready");
  fflush(stdout);
  for (;;) {
    if (!is_dialling) stream = accept(listener, NULL, NULL);
    if (stream < 0) fail("accept");
    fcntl(stream, F_SETFL, O_NONBLOCK);
    serve(tap, stream, atoi(argv[3]));
    close(stream);
    if (is_dialling) return 0;
  }
}
