import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { recordOf } from "../../src/dataplane/ethernet-frame.ts";
import { FrameSplitter } from "../../src/dataplane/frame-splitter.ts";
import { formatMac } from "../../src/dataplane/mac-address.ts";
import { internetChecksum } from "../../src/wire/packet/internet-checksum.ts";
import { formatIpAddress } from "../../src/wire/packet/ip-address.ts";
import { readNeighbourPacket } from "../../src/wire/packet/neighbour-packet.ts";
import { arpFrame, ethernetFrame, ipPacket } from "../../src/wire/packet/packet-builder.ts";
import { PROTOCOL_ICMP, readPacketHeaders } from "../../src/wire/packet/packet-headers.ts";

const BROADCAST = 0xffff_ffff_ffff;

export interface NodeStationOptions {
  readonly mac: number;
  readonly address: string;
}

/** A host in this process: asks and answers ARP, pings and is pinged. Its frames go where `send` takes them. */
export class NodeStation {
  readonly mac: number;
  readonly address: string;
  /** Where its frames go. */
  send: (frame: Buffer) => void = () => undefined;
  readonly #neighbours = new Map<string, number>();
  readonly #replies = new Set<string>();
  readonly #waiting = new Set<() => void>();
  /** Echo requests that were answered. */
  answered = 0;

  constructor({ mac, address }: NodeStationOptions) {
    this.mac = mac;
    this.address = address;
  }

  get macAddress(): string {
    return formatMac(this.mac);
  }

  /** Listens on a Unix socket, as QEMU does for a NIC. */
  async listen(path: string): Promise<AsyncDisposable> {
    let connected: Socket | undefined;
    const server = createServer((socket) => {
      connected = socket;
      const splitter = new FrameSplitter({
        onFrame: (buffer, start, end) => this.receive(Buffer.from(buffer.subarray(start, end))),
        onTooLong: () => undefined,
      });
      socket.on("data", (chunk: Buffer) => splitter.push(chunk));
      socket.on("error", () => undefined);
    });
    this.send = (frame) => connected?.write(recordOf(frame));
    server.listen(path);
    await once(server, "listening");
    return {
      [Symbol.asyncDispose]: async () => {
        connected?.destroy();
        await new Promise<void>((resolve) => server.close(() => resolve()));
      },
    };
  }

  /** Resolves with the other's MAC address when it answered an ARP request and as many echo requests, of growing length. */
  async ping(
    address: string,
    { count = 5, largest = 1400 }: { count?: number; largest?: number } = {},
  ): Promise<number> {
    const arp = {
      operation: "request",
      senderMac: this.mac,
      senderAddress: this.address,
      targetAddress: address,
    } as const;
    const ask = (): void => this.send(arpFrame(arp, { sourceMac: this.mac, destinationMac: BROADCAST }));
    // The first frames to a new place can be lost while the other end looks for its own way.
    const again = setInterval(ask, 200);
    ask();
    try {
      await this.#until(() => this.#neighbours.has(address));
    } finally {
      clearInterval(again);
    }
    const mac = this.#neighbours.get(address) ?? 0;
    for (let sequence = 1; sequence <= count; sequence += 1) {
      const echo = Buffer.alloc(8 + Math.floor((largest * sequence) / count), sequence);
      echo.writeUInt32BE(0x0800_0000, 0);
      echo.writeUInt16BE(0x4711, 4);
      echo.writeUInt16BE(sequence, 6);
      echo.writeUInt16BE(internetChecksum(echo), 2);
      this.send(this.#icmp(echo, { mac, address }));
      await this.#until(() => this.#replies.has(`${address} ${echo.subarray(4).toString("hex")}`));
    }
    return mac;
  }

  #icmp(message: Buffer, { mac, address }: { readonly mac: number; readonly address: string }): Buffer {
    const { packet, etherType } = ipPacket(message, {
      source: this.address,
      destination: address,
      protocol: PROTOCOL_ICMP,
    });
    return ethernetFrame(etherType, packet, { sourceMac: this.mac, destinationMac: mac });
  }

  /** Takes a frame that came for it or for everybody. */
  receive(frame: Buffer): void {
    const arp = readNeighbourPacket(frame);
    if (arp?.kind === "arp" && formatIpAddress(arp.targetAddress) === this.address) {
      const asker = formatIpAddress(arp.senderAddress);
      this.#neighbours.set(asker, arp.senderMac);
      if (arp.operation === 1) {
        const reply = {
          ...({ operation: "reply", senderMac: this.mac, senderAddress: this.address } as const),
          ...{ targetMac: arp.senderMac, targetAddress: asker },
        };
        this.send(arpFrame(reply, { sourceMac: this.mac, destinationMac: arp.senderMac }));
      }
    }
    const headers = readPacketHeaders(frame);
    if (
      headers?.ip?.version === 4 &&
      headers.ip.protocol === PROTOCOL_ICMP &&
      formatIpAddress(headers.ip.destination) === this.address
    ) {
      const message = frame.subarray(headers.ip.payloadStart, headers.ip.payloadEnd);
      const from = formatIpAddress(headers.ip.source);
      if (internetChecksum(message) === 0 && message.length >= 8) {
        if (message[0] === 0) this.#replies.add(`${from} ${message.subarray(4).toString("hex")}`);
        else if (message[0] === 8) {
          const reply = Buffer.from(message);
          reply.writeUInt32BE(0, 0);
          reply.writeUInt16BE(internetChecksum(reply), 2);
          this.answered += 1;
          this.send(this.#icmp(reply, { mac: headers.sourceMac, address: from }));
        }
      }
    }
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }
}
