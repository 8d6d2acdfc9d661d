import type { EchoPeer } from "./echo-peer.ts";
import { type Datagram, datagramFrame, readDatagram, type Station } from "./ip-frames.ts";

const [bootpServer, bootpClient, tftpServer] = [67, 68, 69];
const transferPort = 2_069;
const blockBytes = 512;

/**
 * Gives a VM's firmware its address (DHCP, RFC 2131) and a file that never ends (TFTP, RFC 1350): while it loads, the firmware's network stack is alive and
 * echoes what is asked of it. So a VM without a disk or an operating system answers, for as long as a test takes, three seconds after it was started.
 */
export class BootServer {
  readonly #self: EchoPeer;
  readonly #vm: Station;
  readonly #timers = new Set<NodeJS.Timeout>();
  /** The last block that was sent, which is sent again when its acknowledgement is repeated. */
  #last = 0;

  constructor(self: EchoPeer, vm: Station) {
    this.#self = self;
    this.#vm = vm;
    self.onFrame = (frame) => this.#hear(frame);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #hear(frame: Buffer): void {
    const datagram = readDatagram(frame);
    if (datagram === undefined || datagram.from !== this.#vm.mac) return;
    if (datagram.destinationPort === bootpServer) this.#lease(datagram.payload);
    if (datagram.destinationPort === tftpServer) this.#send(datagram, 1);
    if (datagram.destinationPort === transferPort && datagram.payload.readUInt16BE(0) === 4)
      this.#acknowledged(datagram);
  }

  #lease(request: Buffer): void {
    const asked = messageType(request);
    if (asked !== 1 && asked !== 3) return;
    const reply = Buffer.alloc(240);
    request.copy(reply, 0, 0, 44);
    reply.writeUInt8(2, 0);
    octets(this.#vm.address).copy(reply, 16);
    octets(this.#self.address).copy(reply, 20);
    reply.write("endless", 108);
    reply.writeUInt32BE(0x63825363, 236);
    const options = Buffer.from([
      // An offer, or the acknowledgement; who gives it, for how long, and the net's mask.
      ...[53, 1, asked === 1 ? 2 : 5],
      ...[54, 4, ...octets(this.#self.address)],
      ...[51, 4, 0, 1, 0x51, 0x80],
      ...[1, 4, 255, 255, 255, 0],
      // iPXE's own: nobody else will offer anything, so there is nothing to wait for.
      ...[175, 3, 176, 1, 1],
      255,
    ]);
    const everybody = { mac: "ff:ff:ff:ff:ff:ff", address: "255.255.255.255" };
    const ports = { sourcePort: bootpServer, destinationPort: bootpClient };
    this.#self.send(datagramFrame(this.#self, everybody, { ...ports, payload: Buffer.concat([reply, options]) }));
  }

  /** A new acknowledgement is followed by the next block a while later: the file is to last. One that is repeated asks for what was lost. */
  #acknowledged(datagram: Datagram): void {
    const block = datagram.payload.readUInt16BE(2);
    if (block !== this.#last) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (block === this.#last) this.#send(datagram, (block + 1) & 0xffff);
    }, 100);
    this.#timers.add(timer);
  }

  #send({ sourcePort }: Datagram, block: number): void {
    this.#last = block;
    const payload = Buffer.alloc(4 + blockBytes);
    payload.writeUInt16BE(3, 0);
    payload.writeUInt16BE(block, 2);
    const ports = { sourcePort: transferPort, destinationPort: sourcePort };
    this.#self.send(datagramFrame(this.#self, this.#vm, { ...ports, payload }));
  }
}

function messageType(message: Buffer): number | undefined {
  for (let at = 240; at + 2 < message.length; ) {
    const code = message.readUInt8(at);
    if (code === 255) return undefined;
    if (code === 53) return message.readUInt8(at + 2);
    at += code === 0 ? 1 : 2 + message.readUInt8(at + 1);
  }
  return undefined;
}

function octets(address: string): Buffer {
  return Buffer.from(address.split(".").map(Number));
}
