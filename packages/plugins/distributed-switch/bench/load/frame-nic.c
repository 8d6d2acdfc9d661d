/*
 * A NIC without a guest: it sends frames as fast as the switch takes them, or counts those that it is given.
 *
 *   frame-nic stream SOCKET send FRAMES     listens as QEMU's `-netdev stream,server=on` does; FRAMES, at most 1024, go
 *                                           into one write, and QEMU writes each by itself
 *   frame-nic stream SOCKET count SECONDS
 *   frame-nic vde SWITCH send 1             joins a VDE switch as QEMU's `-netdev vde` does, through VDE's own library
 *   frame-nic vde SWITCH count SECONDS
 *
 * The one that counts has address 52:54:00:00:00:02. It tells the switch so with a frame of its own, prints `ready`,
 * counts what arrives within SECONDS after the first frame that does, and prints `frames N`. The one that sends has
 * address 52:54:00:00:00:01, and prints `ready`. Both go on until they are killed.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES 1514
#define RECORD_BYTES (4 + FRAME_BYTES)
#define MOST_FRAMES 1024
#define READ_BYTES (1024 * 1024)

static uint8_t sent[MOST_FRAMES * RECORD_BYTES];
static uint8_t taken[READ_BYTES];

/* The frames that a NIC sends, and how it sends and takes them. `take` returns how many frames came. */
struct nic {
  void (*send)(struct nic *nic, int frames);
  int (*take)(struct nic *nic);
  int stream;
  size_t partial;
  void *vde;
  ssize_t (*vde_send)(void *connection, const void *frame, size_t octets, int flags);
  ssize_t (*vde_recv)(void *connection, void *frame, size_t octets, int flags);
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Frames from the NIC whose address ends in `from` to the one whose address ends in `to`, each after its length. */
static void fill_frames(uint8_t from, uint8_t to) {
  const uint8_t prefix[5] = { 0x52, 0x54, 0, 0, 0 };
  const uint16_t type = htons(0x88b5); /* IEEE 802, local experimental */
  const uint32_t length = htonl(FRAME_BYTES);
  int index;
  for (index = 0; index < MOST_FRAMES; index++) {
    uint8_t *record = sent + index * RECORD_BYTES;
    memcpy(record, &length, 4);
    memcpy(record + 4, prefix, 5);
    record[9] = to;
    memcpy(record + 10, prefix, 5);
    record[15] = from;
    memcpy(record + 16, &type, 2);
  }
}

static void stream_send(struct nic *nic, int frames) {
  const uint8_t *from = sent;
  size_t left = (size_t)frames * RECORD_BYTES;
  while (left > 0) {
    ssize_t put = write(nic->stream, from, left);
    if (put < 0) fail("write");
    from += put;
    left -= (size_t)put;
  }
}

static int stream_take(struct nic *nic) {
  int frames = 0;
  size_t at = 0, filled;
  ssize_t got = read(nic->stream, taken + nic->partial, READ_BYTES - nic->partial);
  if (got <= 0) fail("read");
  filled = nic->partial + (size_t)got;
  while (filled - at >= 4) {
    uint32_t length;
    memcpy(&length, taken + at, 4);
    length = ntohl(length);
    if (filled - at < 4 + (size_t)length) break;
    at += 4 + length;
    frames += 1;
  }
  nic->partial = filled - at;
  memmove(taken, taken + at, nic->partial);
  return frames;
}

static void stream_open(struct nic *nic, const char *path) {
  struct sockaddr_un address;
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  if (listener < 0) fail("socket");
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  unlink(path);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, 1) < 0) fail("listen");
  puts("listening");
  fflush(stdout);
  nic->stream = accept(listener, NULL, NULL);
  if (nic->stream < 0) fail("accept");
  nic->send = stream_send;
  nic->take = stream_take;
}

static void vde_send_frames(struct nic *nic, int frames) {
  int index;
  for (index = 0; index < frames; index++) {
    const uint8_t *frame = sent + index * RECORD_BYTES + 4;
    while (nic->vde_send(nic->vde, frame, FRAME_BYTES, 0) < 0) {
      if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) fail("vde_send");
    }
  }
}

static int vde_take(struct nic *nic) {
  return nic->vde_recv(nic->vde, taken, READ_BYTES, 0) > 0 ? 1 : 0;
}

static void vde_open(struct nic *nic, char *path) {
  void *(*open_real)(char *path, char *description, int version, void *options);
  void *library = dlopen("libvdeplug.so.2", RTLD_NOW);
  if (library == NULL) library = dlopen("libvdeplug.so.3", RTLD_NOW);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  *(void **)&open_real = dlsym(library, "vde_open_real");
  *(void **)&nic->vde_send = dlsym(library, "vde_send");
  *(void **)&nic->vde_recv = dlsym(library, "vde_recv");
  if (open_real == NULL || nic->vde_send == NULL || nic->vde_recv == NULL) {
    fprintf(stderr, "VDE's library has no vde_open_real, vde_send and vde_recv\n");
    exit(1);
  }
  nic->vde = open_real(path, "frame-nic", 1, NULL);
  if (nic->vde == NULL) fail("vde_open");
  nic->send = vde_send_frames;
  nic->take = vde_take;
}

static void count(struct nic *nic, double seconds) {
  long frames = 0;
  double end;
  while (nic->take(nic) == 0);
  end = seconds_now() + seconds;
  while (seconds_now() < end) frames += nic->take(nic);
  printf("frames %ld\n", frames);
  fflush(stdout);
  /* A switch whose NIC goes while frames come for it complains. */
  for (;;) nic->take(nic);
}

int main(int argc, char **argv) {
  struct nic nic;
  int is_counting;
  if (argc != 5) {
    fprintf(stderr, "usage: %s stream|vde PATH send|count NUMBER\n", argv[0]);
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  memset(&nic, 0, sizeof nic);
  is_counting = strcmp(argv[3], "count") == 0;
  fill_frames(is_counting ? 2 : 1, is_counting ? 1 : 2);
  if (strcmp(argv[1], "vde") == 0) vde_open(&nic, argv[2]);
  else stream_open(&nic, argv[2]);
  nic.send(&nic, 1);
  puts("ready");
  fflush(stdout);
  if (is_counting) count(&nic, atof(argv[4]));
  else for (;;) nic.send(&nic, atoi(argv[4]));
  return 0;
}
