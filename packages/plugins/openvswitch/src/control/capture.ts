import { type Clock, VdcError } from "@vdc-os/core";
import { type CapturedFrame, type CaptureFacet, settingOf, type VlanSetting } from "@vdc-os/core/network/v1";
import { fieldValue } from "@vdc-os/openflow";
import { dropCodes, tables } from "../pipeline/tables.ts";
import type { KeptSwitch, PortRecord } from "./records.ts";
import type { ShownFrame, ShownFrames } from "./shown-frames.ts";

/** What {@link captureFacet} needs. */
export interface CaptureOptions {
  readonly find: (switchId: string) => KeptSwitch | undefined;
  readonly shown: ShownFrames;
  readonly clock: Clock;
  /** Ends every capture. */
  readonly closing: AbortSignal;
  /** Calls whenever something has changed, until the function that it returns is called. */
  readonly watch: (listener: () => void) => () => void;
}

/** How many frames wait for whoever reads; what comes then is missed. */
const longestQueue = 1_024;
const tagOctets = 4;
const reasons = new Map<number, string>(Object.entries(dropCodes).map(([name, code]) => [code, name]));

/** The frames of a port, as its flows show them to the manager wherever the port is. */
export function captureFacet({ find, shown, clock, closing, watch }: CaptureOptions): CaptureFacet {
  return {
    async *capturePort({ switchId, portKey, snapLength, maxFrames }, { signal }) {
      const first = find(switchId)?.ports.get(portKey);
      if (first?.connected !== true) throw new VdcError("NOT_FOUND", `port '${portKey}' is not connected`);
      const portNow = (): PortRecord | undefined => {
        const now = find(switchId)?.ports.get(portKey);
        return now?.connected === true && now.attachment === first.attachment ? now : undefined;
      };
      const queue: CapturedFrame[] = [];
      let missed = 0;
      let latest = 0;
      let wake = (): void => undefined;
      const stops = [
        shown.listen((frame) => {
          const spec = find(switchId)?.record.spec;
          const port = frame.switchId === switchId ? portNow() : undefined;
          if (spec === undefined || port === undefined) return;
          const seen = seenOf(frame, port.number, settingOf(spec, port)?.vlan ?? { kind: "none" });
          if (seen === undefined) return;
          if (queue.length >= longestQueue) {
            missed += 1;
            return;
          }
          latest = Math.max(latest, Math.round(clock.now() * 1_000));
          const { data, ...more } = seen;
          const cut = data.subarray(0, snapLength).toString("base64");
          queue.push({ atMicroseconds: latest, data: cut, missed, ...more });
          missed = 0;
          wake();
        }),
        // A tag that the switch has added is not the VM's, and is taken off.
        shown.want(switchId, { portKey, octets: Math.min(0xffff, snapLength + tagOctets) }),
        watch(() => wake()),
      ];
      const onAbort = (): void => wake();
      signal.addEventListener("abort", onAbort);
      try {
        for (let left = maxFrames; left > 0 && !signal.aborted && !closing.aborted; ) {
          const frame = queue.shift();
          if (frame !== undefined) {
            left -= 1;
            yield frame;
            continue;
          }
          if (portNow() === undefined) return;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        signal.removeEventListener("abort", onAbort);
        for (const stop of stops) stop();
      }
    },
  };
}

type SeenFrame = Pick<CapturedFrame, "direction" | "originalLength" | "dropped"> & { readonly data: Buffer };

/** The frame as the VM sent it or gets it; undefined for another port's. */
function seenOf({ packet }: ShownFrame, number: number, vlan: VlanSetting): SeenFrame | undefined {
  const { table, match, originalLength, data } = packet;
  // A register that is not told is 0.
  const register = (field: "reg0" | "reg1" | "reg3"): number => Number(fieldValue(match, field) ?? 0n);
  const [from, code, to] = [register("reg0"), register("reg1"), register("reg3")];
  if (table === tables.verdict && from === number) {
    const reason = code === 0 ? undefined : (reasons.get(code) ?? "other");
    const isInside = code === 0 || code === dropCodes.filtered;
    const dropped = reason === undefined ? {} : { dropped: reason };
    return { direction: "in", ...dropped, ...(isInside ? withoutOwnTag(packet, vlan) : { originalLength, data }) };
  }
  if (to !== number) return undefined;
  if (table === tables.leave) return { direction: "out", originalLength, data };
  if (table === tables.droppedOut) return { direction: "out", dropped: "filtered", ...withoutOwnTag(packet, vlan) };
  return undefined;
}

/** Takes off the tag that a frame has within the switch alone. */
function withoutOwnTag(
  { originalLength, data }: { readonly originalLength: number; readonly data: Buffer },
  vlan: VlanSetting,
): { readonly originalLength: number; readonly data: Buffer } {
  const isTagged = data.length >= 16 && data.readUInt16BE(12) === 0x8100;
  const isOwn = vlan.kind === "trunk" ? isTagged && (data.readUInt16BE(14) & 0xfff) === vlan.native : true;
  if (!isTagged || !isOwn || vlan.kind === "none") return { originalLength, data };
  return {
    originalLength: originalLength - tagOctets,
    data: Buffer.concat([data.subarray(0, 12), data.subarray(12 + tagOctets)]),
  };
}
