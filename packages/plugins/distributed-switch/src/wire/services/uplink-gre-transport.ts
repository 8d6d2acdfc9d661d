import { formatMac, type MacAddress } from "../../dataplane/mac-address.ts";
import { erspanFrame } from "../mirror/erspan-packet.ts";
import { formatIpAddress, ipAddressBytes } from "../packet/ip-address.ts";
import { readNeighbourPacket } from "../packet/neighbour-packet.ts";
import { arpFrame } from "../packet/packet-builder.ts";
import type { WireClock } from "../wire-clock.ts";
import { WireError } from "../wire-error.ts";
import type { GreTransport } from "./gre-transport.ts";

export interface UplinkGreOptions {
  /** This host's address in the physical network, IPv4, with the length of its prefix. */
  readonly address: string;
  readonly prefixLength: number;
  /** Where packets to other networks go. Undefined: there are no other networks. */
  readonly gateway?: string | undefined;
  readonly macAddress: MacAddress;
  readonly clock: WireClock;
  /** Puts a whole frame out of the uplink. False when it isn't taken. */
  readonly transmit: (frame: Buffer) => boolean;
}

const BROADCAST: MacAddress = 0xffff_ffff_ffff;
const ASK_AGAIN_MS = 1000;
const BELIEVED_MS = 60_000;
const MAX_NEIGHBOURS = 256;

/**
 * Sends GRE in whole Ethernet frames by an uplink port or a tap, without the kernel's help: it finds the next hop by ARP and answers ARP for
 * its own address. IPv4. What is sent before the next hop is known is lost.
 */
export class UplinkGreTransport implements GreTransport {
  readonly #options: UplinkGreOptions;
  readonly #network: number;
  readonly #mask: number;
  readonly #neighbours = new Map<string, { mac: MacAddress | undefined; askedAt: number; heardAt: number }>();
  #closed = false;

  constructor(options: UplinkGreOptions) {
    this.#options = options;
    const bytes = ipAddressBytes(options.address);
    if (bytes.length !== 4) throw new WireError("INVALID_ARGUMENT", `'${options.address}' is not an IPv4 address`);
    this.#mask = options.prefixLength === 0 ? 0 : (0xffff_ffff << (32 - options.prefixLength)) >>> 0;
    this.#network = (bytes.readUInt32BE() & this.#mask) >>> 0;
  }

  send(packet: Buffer, address: string): boolean {
    if (this.#closed) return false;
    const bytes = ipAddressBytes(address);
    if (bytes.length !== 4) return false;
    const near = (bytes.readUInt32BE() & this.#mask) >>> 0 === this.#network;
    const nextHop = near ? address : this.#options.gateway;
    const nextHopMac = nextHop === undefined ? undefined : this.#resolve(nextHop);
    if (nextHopMac === undefined) return false;
    const { address: source, macAddress: sourceMac, transmit } = this.#options;
    return transmit(erspanFrame(packet, { source, destination: address, sourceMac, nextHopMac }));
  }

  /** Takes a frame that came in by the uplink. Others than ARP for this address are passed over. */
  receive(frame: Buffer): void {
    const arp = readNeighbourPacket(frame);
    const { address, macAddress, transmit } = this.#options;
    if (this.#closed || arp?.kind !== "arp" || formatIpAddress(arp.targetAddress) !== address) return;
    const sender = formatIpAddress(arp.senderAddress);
    const known = this.#neighbours.get(sender);
    // Nobody is believed who wasn't asked for.
    if (known !== undefined) {
      known.mac = arp.senderMac;
      known.heardAt = this.#options.clock.now();
    }
    if (arp.operation !== 1) return;
    const reply = {
      ...({ operation: "reply", senderMac: macAddress, senderAddress: address } as const),
      ...{ targetMac: arp.senderMac, targetAddress: sender },
    };
    transmit(arpFrame(reply, { sourceMac: macAddress, destinationMac: arp.senderMac }));
  }

  /** Who is known, for a status. */
  neighbours(): { readonly address: string; readonly macAddress: string }[] {
    return [...this.#neighbours].flatMap(([address, { mac }]) =>
      mac === undefined ? [] : [{ address, macAddress: formatMac(mac) }],
    );
  }

  close(): void {
    this.#closed = true;
    this.#neighbours.clear();
  }

  #resolve(nextHop: string): MacAddress | undefined {
    const { clock, address, macAddress, transmit } = this.#options;
    const now = clock.now();
    let entry = this.#neighbours.get(nextHop);
    if (entry === undefined) {
      if (this.#neighbours.size >= MAX_NEIGHBOURS) return undefined;
      entry = { mac: undefined, askedAt: Number.NEGATIVE_INFINITY, heardAt: Number.NEGATIVE_INFINITY };
      this.#neighbours.set(nextHop, entry);
    }
    const age = now - entry.heardAt;
    if (age >= BELIEVED_MS) entry.mac = undefined;
    // Asked before it is forgotten, so that a session that goes on has no gaps.
    if (age >= BELIEVED_MS / 2 && now - entry.askedAt >= ASK_AGAIN_MS) {
      entry.askedAt = now;
      const ask = {
        operation: "request",
        senderMac: macAddress,
        senderAddress: address,
        targetAddress: nextHop,
      } as const;
      transmit(arpFrame(ask, { sourceMac: macAddress, destinationMac: BROADCAST }));
    }
    return entry.mac;
  }
}
