import { encodeIpv4, decodeIpv4, MessageHeaders } from "./message-headers.ts";
import { fixedMemory, type UdpSystemCalls, udpSystemCalls } from "./udp-system-calls.ts";
import type { UdpAddress } from "./vxlan-endpoint.ts";

/** How many messages go out with one system call, and how many datagrams one message can be (UDP_MAX_SEGMENTS of older kernels). */
const MESSAGES_OUT = 64;
const SEGMENTS = 64;
/** The largest message that becomes several datagrams: below the largest IPv4 packet. */
const MESSAGE_BYTES = 65_000;
const OUT_BYTES = 256 * 1024;
/** How many datagrams come in with one system call, and the room for each: a longer one is cut, and then too long for any switch. */
const DATAGRAMS_IN = 64;
const IN_BYTES = 10 * 1024;
/** How many sources are remembered as objects. */
const SOURCES = 1024;
const EIO = 5;
const EINVAL = 22;

/** Datagrams to one place, all of one length but the last, which may be shorter. */
interface Message {
  readonly to: UdpAddress;
  readonly name: Buffer;
  readonly offset: number;
  readonly segment: number;
  octets: number;
  datagrams: number;
}

export interface BatchedDatagramsOptions {
  /** Gets each datagram that the kernel didn't take, valid during the call, to send it in another way or to count it. */
  readonly onRefused: (datagram: Buffer, to: UdpAddress) => void;
}

/**
 * An IPv4 UDP socket that sends and receives many datagrams with one system call, which Node.js alone can't. Datagrams of one length
 * to one place become one message that the kernel cuts (UDP_SEGMENT), which takes it a fraction of the time.
 *
 * It owns no descriptor: who opened it gives `fd` to a socket of Node.js, which watches and closes it.
 */
export class BatchedDatagrams {
  readonly fd: number;
  readonly #calls: UdpSystemCalls;
  readonly #options: BatchedDatagramsOptions;
  readonly #out: Buffer = fixedMemory(OUT_BYTES);
  readonly #outHeaders: MessageHeaders;
  readonly #in: Buffer = fixedMemory(DATAGRAMS_IN * IN_BYTES);
  readonly #inHeaders: MessageHeaders;
  readonly #names = new WeakMap<UdpAddress, Buffer>();
  readonly #sources = new Map<number, UdpAddress>();
  #messages: Message[] = [];
  #used = 0;
  /** Datagrams of this length and above go each by itself: the kernel has refused to cut messages into such. */
  #uncuttable = Number.POSITIVE_INFINITY;

  private constructor(fd: number, calls: UdpSystemCalls, options: BatchedDatagramsOptions) {
    this.fd = fd;
    this.#calls = calls;
    this.#options = options;
    this.#outHeaders = new MessageHeaders(calls, MESSAGES_OUT, this.#out);
    this.#inHeaders = new MessageHeaders(calls, DATAGRAMS_IN, this.#in);
    for (let index = 0; index < DATAGRAMS_IN; index += 1) this.#inHeaders.setMemory(index, index * IN_BYTES, IN_BYTES);
  }

  /** Opens and binds a socket. Undefined where that isn't possible: without the native calls, for IPv6, or when the address is taken. */
  static open(listen: UdpAddress, options: BatchedDatagramsOptions): BatchedDatagrams | undefined {
    const calls = udpSystemCalls();
    const name = encodeIpv4(listen);
    if (calls === undefined || name === undefined) return undefined;
    const fd = calls.open(name);
    if (fd < 0) return undefined;
    return new BatchedDatagrams(fd, calls, options);
  }

  /** Takes a copy of header and frame as one datagram, to leave at the next `flush` or before. False when `to` isn't IPv4. */
  add(header: Buffer, frame: Buffer, to: UdpAddress): boolean {
    const octets = header.length + frame.length;
    if (this.#used + octets > OUT_BYTES) this.flush();
    let message = this.#messages.at(-1);
    if (message === undefined || !this.#fits(message, octets, to)) {
      const name = this.#nameOf(to);
      if (name === undefined) return false;
      if (this.#messages.length === MESSAGES_OUT) this.flush();
      message = { to, name, offset: this.#used, segment: octets, octets: 0, datagrams: 0 };
      this.#messages.push(message);
    }
    header.copy(this.#out, this.#used);
    frame.copy(this.#out, this.#used + header.length);
    this.#used += octets;
    message.octets += octets;
    message.datagrams += 1;
    return true;
  }

  /** Sends what was added. */
  flush(): void {
    const messages = this.#messages;
    this.#messages = [];
    this.#used = 0;
    for (const [index, { name, offset, octets, segment, datagrams }] of messages.entries()) {
      this.#outHeaders.setName(index, name);
      this.#outHeaders.setMemory(index, offset, octets);
      this.#outHeaders.setSegment(index, datagrams > 1 ? segment : undefined);
    }
    for (let done = 0; done < messages.length; ) {
      const sent = this.#calls.send(this.fd, this.#outHeaders.from(done), messages.length - done);
      if (sent <= 0) this.#refuse(messages[done] as Message, this.#calls.errno());
      done += Math.max(1, sent);
    }
  }

  /** Hands over what waits in the kernel, up to a batch; each datagram is valid until the next call. True when there may be more. */
  receive(take: (datagram: Buffer, source: UdpAddress) => void): boolean {
    const headers = this.#inHeaders;
    for (let index = 0; index < DATAGRAMS_IN; index += 1) headers.expectName(index);
    const count = this.#calls.receive(this.fd, headers.from(0), DATAGRAMS_IN);
    for (let index = 0; index < count; index += 1) {
      const at = index * IN_BYTES;
      take(this.#in.subarray(at, at + headers.octets(index)), this.#sourceOf(headers.nameKey(index)));
    }
    return count === DATAGRAMS_IN;
  }

  #fits(message: Message, octets: number, to: UdpAddress): boolean {
    const { segment, datagrams } = message;
    return (
      message.to === to &&
      octets <= segment &&
      segment < this.#uncuttable &&
      // After a shorter one there is no further.
      message.octets === segment * datagrams &&
      datagrams < SEGMENTS &&
      message.octets + octets <= MESSAGE_BYTES
    );
  }

  #refuse({ to, offset, segment, octets, datagrams }: Message, errno: number): void {
    // Longer than the path takes in one packet, or a device that can't: IP fragments them one by one.
    if (datagrams > 1 && (errno === EINVAL || errno === EIO)) this.#uncuttable = Math.min(this.#uncuttable, segment);
    for (let at = 0; at < octets; at += segment) {
      this.#options.onRefused(this.#out.subarray(offset + at, offset + Math.min(at + segment, octets)), to);
    }
  }

  #nameOf(to: UdpAddress): Buffer | undefined {
    let name = this.#names.get(to);
    if (name === undefined) {
      name = encodeIpv4(to);
      if (name !== undefined) this.#names.set(to, name);
    }
    return name;
  }

  #sourceOf(key: number): UdpAddress {
    let source = this.#sources.get(key);
    if (source === undefined) {
      if (this.#sources.size >= SOURCES) this.#sources.clear();
      source = decodeIpv4(key);
      this.#sources.set(key, source);
    }
    return source;
  }
}
