import { createRequire } from "node:module";

/** System calls on UDP sockets that Node.js doesn't have. Each returns what the call returns; after a negative number, `errno` tells why. */
export interface UdpSystemCalls {
  /** socket(2) of IPv4 and UDP that doesn't block; then bind(2) to a `struct sockaddr_in`. The descriptor, or a negative number. */
  open(address: Buffer): number;
  /** sendmmsg(2) and recvmmsg(2) of `count` messages that don't wait; `messages` is an array of `struct mmsghdr`. */
  send(fd: number, messages: Buffer, count: number): number;
  receive(fd: number, messages: Buffer, count: number): number;
  errno(): number;
  /** Where memory lies that comes from `fixedMemory`. */
  addressOf(memory: Buffer): number;
}

/** The part of the library that is used. */
interface ForeignFunctions {
  load(path: null): { func(declaration: string): (...values: readonly unknown[]) => number };
  address(buffer: Buffer): bigint;
  errno(): number;
}

/** From bits/socket.h and asm-generic/socket.h; equal on the machines that are asked for below. */
const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;

/**
 * Memory that never moves, so that the kernel can be told where it is. (A small typed array may lie in JavaScript's heap, where
 * collecting garbage moves it; a buffer over an `ArrayBuffer` doesn't.) Zeros at first.
 */
export function fixedMemory(octets: number): Buffer {
  return Buffer.from(new ArrayBuffer(octets));
}

let loaded: { readonly calls: UdpSystemCalls | undefined } | undefined;

/** The calls, where the optional library `koffi` is installed and this is 64-bit Linux; otherwise undefined. */
export function udpSystemCalls(): UdpSystemCalls | undefined {
  loaded ??= { calls: load() };
  return loaded.calls;
}

function load(): UdpSystemCalls | undefined {
  if (process.platform !== "linux" || !["x64", "arm64", "riscv64"].includes(process.arch)) return undefined;
  try {
    return bindCalls(createRequire(import.meta.url)("koffi") as ForeignFunctions);
  } catch {
    return undefined;
  }
}

function bindCalls(foreign: ForeignFunctions): UdpSystemCalls {
  const libc = foreign.load(null);
  const socket = libc.func("int socket(int family, int type, int protocol)");
  const bind = libc.func("int bind(int fd, const void *address, uint32_t length)");
  const close = libc.func("int close(int fd)");
  const sendmmsg = libc.func("int sendmmsg(int fd, void *messages, unsigned int count, int flags)");
  const recvmmsg = libc.func("int recvmmsg(int fd, void *messages, unsigned int count, int flags, void *timeout)");
  return {
    open(address) {
      const fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (fd < 0 || bind(fd, address, address.length) === 0) return fd;
      close(fd);
      return -1;
    },
    send: (fd, messages, count) => sendmmsg(fd, messages, count, MSG_DONTWAIT),
    receive: (fd, messages, count) => recvmmsg(fd, messages, count, MSG_DONTWAIT, null),
    errno: () => foreign.errno(),
    addressOf: (memory) => Number(foreign.address(memory)),
  };
}
