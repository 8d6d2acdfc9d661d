import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { LENGTH_PREFIX_BYTES, recordOf } from "../src/dataplane/ethernet-frame.ts";
import { FrameSplitter } from "../src/dataplane/frame-splitter.ts";
import { parseMac } from "../src/dataplane/mac-address.ts";

/** EtherType for local experiments (IEEE 802-2014, 9.2.4): no other frame of a test has it. */
export const TEST_ETHERTYPE = 0x88b5;

export interface TestFrameOptions {
  readonly to: string;
  readonly from: string;
  readonly text: string;
  /** Puts an 802.1Q tag of this VLAN on. */
  readonly tag?: number;
  /** Pads the frame to this many octets, tag not counted. */
  readonly length?: number;
}

/** A frame that carries a text. */
export function testFrame({ to, from, text, tag, length = 60 }: TestFrameOptions): Buffer {
  const header = Buffer.alloc(14);
  header.writeUIntBE(parseMac(to) ?? 0, 0, 6);
  header.writeUIntBE(parseMac(from) ?? 0, 6, 6);
  header.writeUInt16BE(TEST_ETHERTYPE, 12);
  const tagBytes = Buffer.alloc(tag === undefined ? 0 : 4);
  if (tag !== undefined) tagBytes.writeUInt32BE(0x8100_0000 + tag);
  const payload = Buffer.alloc(Math.max(length - 14, text.length + 1));
  payload.write(text);
  return Buffer.concat([header.subarray(0, 12), tagBytes, header.subarray(12), payload]);
}

/** The text of a test frame, with `@vlan` behind it when tagged; undefined for any other frame. */
export function readTestFrame(frame: Buffer): string | undefined {
  const tagged = frame.length > 18 && frame.readUInt16BE(12) === 0x8100;
  const at = tagged ? 16 : 12;
  if (frame.length < at + 2 || frame.readUInt16BE(at) !== TEST_ETHERTYPE) return undefined;
  const payload = frame.subarray(at + 2);
  const text = payload.subarray(0, payload.indexOf(0)).toString();
  return tagged ? `${text}@${frame.readUInt16BE(14) & 0xfff}` : text;
}

/**
 * Plays QEMU with `-netdev stream,server=on`: listens on a Unix socket, serves one connection at a time and listens on when it ends.
 */
export class FakeNic implements AsyncDisposable {
  readonly path: string;
  readonly mac: string;
  /** Every frame that arrived. */
  readonly frames: Buffer[] = [];
  /** How often a data plane connected. */
  connections = 0;
  readonly #server: Server;
  #socket: Socket | undefined;
  readonly #waiting = new Set<() => void>();

  private constructor(path: string, mac: string) {
    this.path = path;
    this.mac = mac;
    this.#server = createServer((socket) => {
      this.connections += 1;
      this.#socket = socket;
      const splitter = new FrameSplitter({
        onFrame: (buffer, start, end) => {
          this.frames.push(Buffer.from(buffer.subarray(start, end)));
        },
        onTooLong: () => undefined,
      });
      socket.on("data", (chunk: Buffer) => {
        splitter.push(chunk);
        this.#changed();
      });
      socket.on("error", () => undefined);
      socket.on("close", () => {
        if (this.#socket === socket) this.#socket = undefined;
        this.#changed();
      });
      this.#changed();
    });
  }

  static async listen(path: string, mac: string): Promise<FakeNic> {
    const nic = new FakeNic(path, mac);
    nic.#server.listen(path);
    await once(nic.#server, "listening");
    return nic;
  }

  /** The texts of the test frames that arrived, in order. */
  get texts(): string[] {
    return this.frames.flatMap((frame) => readTestFrame(frame) ?? []);
  }

  get connected(): boolean {
    return this.#socket !== undefined;
  }

  /** Sends one or more frames in one write. */
  send(...frames: Buffer[]): void {
    this.#socket?.write(Buffer.concat(frames.map(recordOf)));
  }

  sendRaw(bytes: Buffer): void {
    this.#socket?.write(bytes);
  }

  /** Sends a text to another NIC, or to all. */
  say(text: string, to: { readonly mac: string } | "all", options: { readonly tag?: number } = {}): void {
    this.send(testFrame({ to: to === "all" ? "ff:ff:ff:ff:ff:ff" : to.mac, from: this.mac, text, ...options }));
  }

  /** Stops reading, as a VM that hangs does. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  hangUp(): void {
    this.#socket?.destroy();
  }

  /** Resolves when the condition holds; it is looked at whenever something arrives or a connection changes. */
  async until(condition: (nic: FakeNic) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  async heard(text: string): Promise<void> {
    await this.until(({ texts }) => texts.includes(text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #changed(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}

/** The bytes that a frame takes on the stream. */
export function recordBytes(frame: Buffer): number {
  return LENGTH_PREFIX_BYTES + frame.length;
}
