import { ETHERNET_HEADER_BYTES, LENGTH_PREFIX_BYTES } from "./ethernet-frame.ts";
import { type MacAddress, parseMac, readMac } from "./mac-address.ts";
import { splitVni } from "./segment.ts";
import { type InDropReason, type OutDropReason, TrafficCounters, type TrafficStatistics } from "./traffic-counters.ts";
import type { FrameBytes, TunnelSink } from "./tunnel-sink.ts";
import type { UdpAddress, VxlanEndpoint } from "./vxlan-endpoint.ts";
import { VXLAN_HEADER_BYTES, vxlanHeader, vxlanOverhead } from "./vxlan-header.ts";

/** Takes the frames of other hosts. `vlan` is 4095 for what is in no VLAN. Returns why it dropped one. */
export interface PeerFrames {
  receiveFromPeer(peer: string, vlan: number, buffer: Buffer, start: number, end: number): InDropReason | undefined;
}

/** Another host of the switch. */
export interface TunnelPeer extends UdpAddress {
  /** The host's name in this switch. */
  readonly key: string;
  /**
   * Accept datagrams from any source port of this address, as VTEPs send that spread flows over source ports (the Linux kernel's, Open
   * vSwitch's). Defaults to `false`: the source is `port`, as with this data plane's own.
   */
  readonly anySourcePort?: boolean | undefined;
  /**
   * Addresses whose frames are refused when they come from this peer, counted as `fenced`: their port has another owner now, and the
   * peer can't be told. Defaults to none.
   */
  readonly refuses?: readonly string[] | undefined;
}

/** `in` is what came from the peer, `out` what was sent to it; octets are those of the frames inside. */
export interface TunnelPeerStatistics {
  readonly peer: string;
  readonly in: TrafficStatistics<InDropReason>;
  readonly out: TrafficStatistics<OutDropReason>;
  /** Milliseconds since a datagram came from it; undefined when none ever did. */
  readonly heardAgoMs?: number | undefined;
}

interface Peer {
  config: TunnelPeer;
  refuses: ReadonlySet<MacAddress> | undefined;
  readonly in: TrafficCounters<InDropReason>;
  readonly out: TrafficCounters<OutDropReason>;
  heardAt: number | undefined;
}

export interface SwitchTunnelOptions {
  readonly vniBase: number;
  readonly now: () => number;
  /** The endpoint in use now; it is replaced when the listen address changes. */
  readonly endpoint: () => VxlanEndpoint | undefined;
}

/**
 * One switch's tunnels to its other hosts: unicast to the host that is known to have the address, and head-end replication (one copy to
 * each) for everything else. Takes frames from its configured peers only.
 */
export class SwitchTunnel implements TunnelSink {
  readonly #options: SwitchTunnelOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #bySource = new Map<string, Peer>();
  #lastSource: UdpAddress | undefined;
  #lastPeer: Peer | undefined;
  readonly #headers = new Map<number, Buffer>();
  #underlayMtu = 0;
  #family: 4 | 6 = 4;

  constructor(options: SwitchTunnelOptions) {
    this.#options = options;
  }

  /** Replaces the peers; those that stay keep their counters. Returns the keys of those that went. */
  configure(peers: readonly TunnelPeer[], underlay: { readonly mtu: number; readonly family: 4 | 6 }): string[] {
    this.#underlayMtu = underlay.mtu;
    this.#family = underlay.family;
    const wanted = new Map(peers.map((peer) => [peer.key, peer]));
    const gone = [...this.#peers.keys()].filter((key) => !wanted.has(key));
    for (const key of gone) this.#peers.delete(key);
    this.#bySource.clear();
    this.#lastSource = undefined;
    for (const config of peers) {
      const peer: Peer = this.#peers.get(config.key) ?? {
        config,
        refuses: undefined,
        in: new TrafficCounters(),
        out: new TrafficCounters(),
        heardAt: undefined,
      };
      peer.config = config;
      peer.refuses = config.refuses?.length
        ? new Set(config.refuses.flatMap((text) => parseMac(text) ?? []))
        : undefined;
      this.#peers.set(config.key, peer);
      this.#bySource.set(sourceKey(config.address, config.anySourcePort === true ? undefined : config.port), peer);
    }
    return gone;
  }

  send(peerKey: string, vlan: number, frame: FrameBytes): number {
    const peer = this.#peers.get(peerKey);
    if (peer === undefined) return 0;
    this.#sendTo(peer, vlan, frame);
    return 1;
  }

  flood(vlan: number, frame: FrameBytes): number {
    for (const peer of this.#peers.values()) this.#sendTo(peer, vlan, frame);
    return this.#peers.size;
  }

  peers(): readonly string[] {
    return [...this.#peers.keys()];
  }

  /** Takes a datagram that carries one of this switch's VNIs. False when its source is none of the peers. */
  receive(frames: PeerFrames, vni: number, datagram: Buffer, source: UdpAddress): boolean {
    const peer = this.#peerAt(source);
    if (peer === undefined) return false;
    const { vlan } = splitVni(vni);
    peer.heardAt = this.#options.now();
    peer.in.frame(datagram.length - VXLAN_HEADER_BYTES);
    peer.in.cast(readMac(datagram, VXLAN_HEADER_BYTES));
    if (peer.refuses?.has(readMac(datagram, VXLAN_HEADER_BYTES + 6)) === true) {
      peer.in.drop("fenced");
      return true;
    }
    // The header is read: its last four bytes become the length prefix that the frame needs at a port, without a copy.
    datagram.writeUInt32BE(datagram.length - VXLAN_HEADER_BYTES, VXLAN_HEADER_BYTES - LENGTH_PREFIX_BYTES);
    const refusal = frames.receiveFromPeer(peer.config.key, vlan, datagram, VXLAN_HEADER_BYTES, datagram.length);
    if (refusal !== undefined) peer.in.drop(refusal);
    return true;
  }

  /** Why a frame of a peer is dropped before it is looked at. */
  refusal(peerKey: string, frame: Uint8Array): "unknownPeer" | "fenced" | undefined {
    const peer = this.#peers.get(peerKey);
    if (peer === undefined) return "unknownPeer";
    return peer.refuses?.has(readMac(Buffer.from(frame), 6)) === true ? "fenced" : undefined;
  }

  statistics(): TunnelPeerStatistics[] {
    const now = this.#options.now();
    return [...this.#peers.values()].map((peer) => ({
      peer: peer.config.key,
      in: peer.in.statistics(),
      out: peer.out.statistics(),
      ...(peer.heardAt === undefined ? {} : { heardAgoMs: Math.round(now - peer.heardAt) }),
    }));
  }

  /** The peer that a datagram came from. Most come from where the one before came from, which spares making a key for each. */
  #peerAt(source: UdpAddress): Peer | undefined {
    const last = this.#lastSource;
    if (last === undefined || source.port !== last.port || source.address !== last.address) {
      this.#lastSource = source;
      this.#lastPeer =
        this.#bySource.get(sourceKey(source.address, source.port)) ??
        this.#bySource.get(sourceKey(source.address, undefined));
    }
    return this.#lastPeer;
  }

  #sendTo(peer: Peer, vlan: number, { buffer, start, end }: FrameBytes): void {
    const refusal = this.#trySend(peer.config, vlan, buffer, start, end);
    if (refusal !== undefined) {
      peer.out.drop(refusal);
      return;
    }
    peer.out.frame(end - start);
    peer.out.cast(readMac(buffer, start));
  }

  #trySend(to: UdpAddress, vlan: number, buffer: Buffer, start: number, end: number): OutDropReason | undefined {
    const endpoint = this.#options.endpoint();
    if (endpoint === undefined) return "linkDown";
    // The frame holds its own Ethernet header, which the overhead counts too.
    if (end - start + vxlanOverhead(this.#family) - ETHERNET_HEADER_BYTES > this.#underlayMtu) return "tunnelMtu";
    const vni = this.#options.vniBase + vlan;
    let header = this.#headers.get(vni);
    if (header === undefined) {
      header = vxlanHeader(vni);
      this.#headers.set(vni, header);
    }
    return endpoint.send(header, buffer.subarray(start, end), to) ? undefined : "queueFull";
  }
}

function sourceKey(address: string, port: number | undefined): string {
  return `${address}|${port ?? "*"}`;
}
