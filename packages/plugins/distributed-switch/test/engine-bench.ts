import { expect } from "vitest";
import {
  LENGTH_PREFIX_BYTES,
  readTag,
  recordOf,
  recordWithTag,
  tagVlan,
  UNTAGGED,
} from "../src/dataplane/ethernet-frame.ts";
import { SwitchEngine } from "../src/dataplane/switch-engine.ts";
import type { SwitchEngineOptions } from "../src/dataplane/switch-engine-options.ts";
import type { PortSettings, SwitchPort } from "../src/dataplane/switch-port.ts";
import type { FrameBytes, TunnelSink } from "../src/dataplane/tunnel-sink.ts";
import type { VlanSetting } from "../src/dataplane/vlan-membership.ts";

/** Settings and addresses by number, and a switch engine on a bench: sinks that remember, a tunnel that remembers. */
export const access: (id: number) => VlanSetting = (id) => ({ kind: "access", id });
export const trunk = (from: number, to: number, native?: number): VlanSetting => ({
  kind: "trunk",
  ranges: [{ from, to }],
  native,
});
export const NONE: VlanSetting = { kind: "none" };
export const nic = (index: number): number => 0x5254_0000_0000 + index;
export const nicText = (index: number): string => `52:54:00:00:00:${index.toString(16).padStart(2, "0")}`;

/** A frame as a test sees it: where it goes, from whom, its VLAN tag if any, and a number to know it again. */
export interface Seen {
  readonly id: number;
  readonly tag: number | undefined;
}

export function frame(to: number, from: number, options: { tag?: number; id?: number; length?: number } = {}): Buffer {
  const bare = Buffer.alloc(options.length ?? 60);
  bare.writeUIntBE(to, 0, 6);
  bare.writeUIntBE(from, 6, 6);
  bare.writeUInt16BE(0x88b5, 12); // local experimental EtherType
  bare.writeUInt32BE(options.id ?? 0, 14);
  if (options.tag === undefined) return bare;
  return Buffer.from(recordWithTag(bare, 0, bare.length, options.tag).subarray(LENGTH_PREFIX_BYTES));
}

function see(buffer: Buffer, start: number, end: number): Seen {
  expect(buffer.readUInt32BE(start - LENGTH_PREFIX_BYTES)).toBe(end - start);
  const tag = readTag(buffer, start, end);
  return tag === UNTAGGED
    ? { id: buffer.readUInt32BE(start + 14), tag: undefined }
    : { id: buffer.readUInt32BE(start + 18), tag: tagVlan(tag) };
}

export class Bench {
  readonly engine: SwitchEngine;
  readonly received: Map<string, Seen[]> = new Map();
  readonly tunnelled: { peer: string; vlan: number; id: number; tag: number | undefined }[] = [];
  full = false;

  constructor(options: Partial<SwitchEngineOptions> = {}, peers: readonly string[] = []) {
    const record = (peer: string, vlan: number, { buffer, start, end }: FrameBytes): void => {
      this.tunnelled.push({ peer, vlan, ...see(buffer, start, end) });
    };
    const tunnel: TunnelSink = {
      send: (peer, vlan, bytes) => {
        record(peer, vlan, bytes);
        return 1;
      },
      flood: (vlan, bytes) => {
        for (const peer of peers) record(peer, vlan, bytes);
        return peers.length;
      },
      peers: () => peers,
    };
    this.engine = new SwitchEngine({ now: () => 0, tunnel, ...options });
  }

  port(index: number, vlan: VlanSetting, settings: Partial<PortSettings> = {}): SwitchPort {
    const key = `p${index}`;
    const seen: Seen[] = [];
    this.received.set(key, seen);
    const port = this.engine.addPort(
      key,
      { macAddress: nicText(index), vlan, ...settings },
      {
        deliver: (buffer, start, end) => {
          if (this.full) return "queueFull";
          seen.push(see(buffer, start, end));
          return undefined;
        },
        flush: () => undefined,
      },
    );
    port.linkUp = true;
    return port;
  }

  send(port: SwitchPort, bytes: Buffer): void {
    const record = recordOf(bytes);
    this.engine.receiveFromPort(port, record, LENGTH_PREFIX_BYTES, record.length);
    expectBalance(port);
  }

  fromPeer(peer: string, vlan: number, bytes: Buffer): string | undefined {
    const record = recordOf(bytes);
    return this.engine.receiveFromPeer(peer, vlan, record, LENGTH_PREFIX_BYTES, record.length);
  }

  /** Which ports got which frames since the last call. */
  take(): Record<string, Seen[]> {
    const taken: Record<string, Seen[]> = {};
    for (const [key, seen] of this.received) if (seen.length > 0) taken[key] = seen.splice(0);
    return taken;
  }
}

export function expectBalance(port: SwitchPort): void {
  const { in: inward, forwarded, held, out } = port.statistics();
  expect(inward.frames).toBe(forwarded + held + inward.dropped);
  for (const { dropped, drops } of [inward, out]) {
    expect(Object.values<number>(drops).reduce((sum, count) => sum + count, 0)).toBe(dropped);
  }
}
