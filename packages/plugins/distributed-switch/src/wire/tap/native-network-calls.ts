import { createRequire } from "node:module";
import { MAX_INTERFACE_NAME } from "../../dataplane/interface-name.ts";

/** System calls that Node.js does not have. Each returns what the call returns, or the negative error number. None of them waits. */
export interface NativeNetworkCalls {
  /**
   * open(2) of `device` and TUNSETIFF as a tap without packet information; the descriptor doesn't block. The device is `/dev/net/tun`, or
   * a macvtap's own, which has its interface already.
   */
  openTap(
    name: string,
    device: string,
  ): { readonly fd: number; readonly name: string } | { readonly errno: number; readonly call: string };
  /** A descriptor that libuv takes for a pipe, and that then is a copy of `fd`, which is closed. */
  adoptable(fd: number, adopt: (fd: number) => void): number;
  /** read(2) to `buffer[offset, offset + length)`. */
  read(fd: number, buffer: Buffer, place: { readonly offset: number; readonly length: number }): number;
  /** write(2) of `buffer[start, end)`. */
  write(fd: number, buffer: Buffer, place: { readonly start: number; readonly end: number }): number;
  /** socket(2) of type SOCK_RAW that doesn't block. */
  rawSocket(family: 4 | 6, protocol: number): number;
  /** A netlink socket that tells every change of an interface (rtnetlink(7)); it doesn't block. */
  linkEvents(): number;
  /** Takes a name for as long as the descriptor is open: an abstract address of this network namespace that nobody can connect to. */
  takeName(name: string): number;
  /** sendto(2), to a `struct sockaddr`. */
  sendTo(fd: number, packet: Buffer, address: Buffer): number;
}

/** The calls, or in words why there are none. */
export type NativeNetwork =
  | { readonly calls: NativeNetworkCalls; readonly reason?: undefined }
  | { readonly calls?: undefined; readonly reason: string };

/** The part of the library that is used. */
interface ForeignFunctions {
  load(path: null): { func(declaration: string): (...values: readonly unknown[]) => number };
  errno(): number;
}

/** From asm-generic/fcntl.h, linux/if_tun.h, bits/socket.h; equal on these machines. */
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const TUNSETIFF = 0x4004_54ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFREQ_BYTES = 40;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const RTMGRP_LINK = 1;
const SOCK_STREAM = 1;
const SOCK_RAW = 3;
const MSG_DONTWAIT = 0x40;

function loadNativeNetwork(): NativeNetwork {
  if (process.platform !== "linux" || !["x64", "arm64", "riscv64"].includes(process.arch)) {
    return { reason: `taps and raw sockets need 64-bit Linux; this is ${process.platform} on ${process.arch}` };
  }
  let foreign: ForeignFunctions;
  try {
    foreign = createRequire(import.meta.url)("koffi") as ForeignFunctions;
  } catch {
    return {
      reason: "the optional package 'koffi' is not installed, without which Node.js can't open a tap or a raw socket",
    };
  }
  try {
    return { calls: bindCalls(foreign) };
  } catch (error) {
    return {
      reason: `the C library lacks a call that taps need: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

function bindCalls(foreign: ForeignFunctions): NativeNetworkCalls {
  const libc = foreign.load(null);
  const open = libc.func("int open(const char *path, int flags, ...)");
  const close = libc.func("int close(int fd)");
  const ioctl = libc.func("int ioctl(int fd, unsigned long request, ...)");
  const read = libc.func("int64_t read(int fd, void *buffer, size_t length)");
  const write = libc.func("int64_t write(int fd, const void *buffer, size_t length)");
  const socket = libc.func("int socket(int family, int type, int protocol)");
  const bind = libc.func("int bind(int fd, const void *address, uint32_t length)");
  const socketpair = libc.func("int socketpair(int family, int type, int protocol, void *pair)");
  const dup3 = libc.func("int dup3(int from, int to, int flags)");
  const sendto = libc.func(
    "int64_t sendto(int fd, const void *packet, size_t length, int flags, const void *address, uint32_t addressLength)",
  );
  const orErrno = (result: number): number => (result < 0 ? -foreign.errno() : Number(result));
  const bound = (fd: number, address: Buffer): number => {
    if (fd < 0) return fd;
    const result = orErrno(bind(fd, address, address.length));
    if (result >= 0) return fd;
    close(fd);
    return result;
  };
  return {
    openTap(name, device) {
      const fd = orErrno(open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC));
      if (fd < 0) return { errno: -fd, call: `open of ${device}` };
      // `struct ifreq`: the name, then the flags. The kernel writes the name that the interface got.
      const request = Buffer.alloc(IFREQ_BYTES);
      request.write(name, 0, MAX_INTERFACE_NAME);
      request.writeUInt16LE(IFF_TAP | IFF_NO_PI, 16);
      const attached = orErrno(ioctl(fd, TUNSETIFF, "void *", request));
      if (attached < 0) {
        close(fd);
        return { errno: -attached, call: "TUNSETIFF" };
      }
      return { fd, name: request.subarray(0, request.indexOf(0)).toString() };
    },
    adoptable(fd, adopt) {
      const pair = Buffer.alloc(8);
      const made = orErrno(socketpair(AF_UNIX, SOCK_STREAM | O_NONBLOCK | O_CLOEXEC, 0, pair));
      if (made < 0) return made;
      const [ours, other] = [pair.readInt32LE(0), pair.readInt32LE(4)];
      adopt(ours);
      // libuv asks what a descriptor is when it takes it, and watches it only when its loop comes to that: in between it becomes another.
      const copied = orErrno(dup3(fd, ours, O_CLOEXEC));
      close(other);
      close(fd);
      return copied;
    },
    read: (fd, buffer, { offset, length }) => {
      const count = read(fd, buffer.subarray(offset, offset + length), length);
      return count < 0 ? -foreign.errno() : Number(count);
    },
    write: (fd, buffer, { start, end }) => {
      const count = write(fd, buffer.subarray(start, end), end - start);
      return count < 0 ? -foreign.errno() : Number(count);
    },
    rawSocket: (family, protocol) =>
      orErrno(socket(family === 4 ? AF_INET : AF_INET6, SOCK_RAW | O_NONBLOCK | O_CLOEXEC, protocol)),
    linkEvents() {
      // `struct sockaddr_nl`: the family, padding, a port that the kernel gives, the groups.
      const address = Buffer.alloc(12);
      address.writeUInt16LE(AF_NETLINK, 0);
      address.writeUInt32LE(RTMGRP_LINK, 8);
      return bound(orErrno(socket(AF_NETLINK, SOCK_RAW | O_NONBLOCK | O_CLOEXEC, 0)), address);
    },
    takeName(name) {
      const address = Buffer.concat([Buffer.alloc(3), Buffer.from(name)]);
      address.writeUInt16LE(AF_UNIX, 0);
      return bound(orErrno(socket(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0)), address);
    },
    sendTo: (fd, packet, address) => orErrno(sendto(fd, packet, packet.length, MSG_DONTWAIT, address, address.length)),
  };
}

let loaded: NativeNetwork | undefined;

/** The native calls where the optional library `koffi` is installed and this is 64-bit Linux; otherwise the reason. */
export function nativeNetwork(): NativeNetwork {
  loaded ??= loadNativeNetwork();
  return loaded;
}
