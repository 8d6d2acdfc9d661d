import { closeSync } from "node:fs";
import { PROTOCOL_GRE } from "../packet/packet-headers.ts";
import { ipAddressBytes } from "../packet/ip-address.ts";
import { WireError } from "../wire-error.ts";
import { type NativeNetworkCalls, nativeNetwork } from "../tap/native-network-calls.ts";

/** Carries GRE packets to an address. */
export interface GreTransport {
  /** False when it is not taken now: the packet is lost. */
  send(packet: Buffer, address: string): boolean;
  close(): void;
}

/** The kernel's raw sockets for GRE; or why this process can't have them, with what is missing: it depends on rights and on a library. */
export function openGre(): GreTransport | string {
  try {
    return RawGreTransport.open();
  } catch (error) {
    if (error instanceof WireError) return error.message;
    throw error;
  }
}

const AF_INET = 2;
const AF_INET6 = 10;
const ERRORS = new Map([
  [1, "it needs root, or CAP_NET_RAW"],
  [13, "it needs root, or CAP_NET_RAW"],
  [93, "the kernel has no raw sockets"],
]);

/** Sends GRE by raw sockets of the kernel, which finds the way and writes the IP header. Needs CAP_NET_RAW and the optional library `koffi`. */
export class RawGreTransport implements GreTransport {
  readonly #calls: NativeNetworkCalls;
  readonly #fds = new Map<4 | 6, number>();

  private constructor(calls: NativeNetworkCalls) {
    this.#calls = calls;
  }

  /** Throws `UNAVAILABLE` with the reason where there are no raw sockets. */
  static open(): RawGreTransport {
    const why = (reason: string): WireError =>
      new WireError(
        "UNAVAILABLE",
        `ERSPAN is GRE, an IP protocol of its own, which this process can't send by a raw socket: ${reason}. Mirror to a VXLAN destination, which is UDP, instead`,
      );
    const native = nativeNetwork();
    if (native.calls === undefined) throw why(native.reason);
    const transport = new RawGreTransport(native.calls);
    const fd = transport.#fd(4);
    if (fd < 0) throw why(ERRORS.get(-fd) ?? `error ${-fd}`);
    return transport;
  }

  send(packet: Buffer, address: string): boolean {
    const bytes = ipAddressBytes(address);
    const family = bytes.length === 4 ? 4 : 6;
    const fd = this.#fd(family);
    return fd >= 0 && this.#calls.sendTo(fd, packet, socketAddress(bytes)) === packet.length;
  }

  close(): void {
    for (const fd of this.#fds.values()) closeSync(fd);
    this.#fds.clear();
  }

  #fd(family: 4 | 6): number {
    const known = this.#fds.get(family);
    if (known !== undefined) return known;
    const fd = this.#calls.rawSocket(family, PROTOCOL_GRE);
    if (fd >= 0) this.#fds.set(family, fd);
    return fd;
  }
}

/** `struct sockaddr_in` or `sockaddr_in6`, of Linux; a raw socket has no port. */
function socketAddress(address: Buffer): Buffer {
  const v4 = address.length === 4;
  const bytes = Buffer.alloc(v4 ? 16 : 28);
  bytes.writeUInt16LE(v4 ? AF_INET : AF_INET6, 0);
  bytes.set(address, v4 ? 4 : 8);
  return bytes;
}
