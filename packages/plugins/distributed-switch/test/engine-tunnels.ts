import { LENGTH_PREFIX_BYTES, recordOf } from "../src/dataplane/ethernet-frame.ts";
import type { SwitchEngine } from "../src/dataplane/switch-engine.ts";
import type { FrameBytes, TunnelSink } from "../src/dataplane/tunnel-sink.ts";

/** Tunnels between engines that are function calls: a frame has arrived when the call returns. Host 2 is the peer `h2`. */
export class EngineTunnels {
  /** By the number of the host. */
  readonly engines: SwitchEngine[] = [];
  readonly #isCut: (a: number, b: number) => boolean;

  /** `isCut` is asked for every frame. */
  constructor(isCut: (a: number, b: number) => boolean = () => false) {
    this.#isCut = isCut;
  }

  /** The way out of a host. */
  sink(from: number): TunnelSink {
    const others = (): number[] => [...this.engines.keys()].filter((host) => host !== from && !this.#isCut(from, host));
    const carry = (to: number, vlan: number, { buffer, start, end }: FrameBytes): void => {
      const record = recordOf(buffer.subarray(start, end));
      this.engines[to]?.receiveFromPeer(`h${from}`, vlan, record, LENGTH_PREFIX_BYTES, record.length);
    };
    return {
      send: (peer, vlan, frame) => {
        const to = others().find((host) => `h${host}` === peer);
        if (to === undefined) return 0;
        carry(to, vlan, frame);
        return 1;
      },
      flood: (vlan, frame) => {
        const peers = others();
        for (const to of peers) carry(to, vlan, frame);
        return peers.length;
      },
      peers: () => others().map((host) => `h${host}`),
    };
  }
}
