import type { Json } from "@vdc-os/core";
import type { DataPlane } from "../dataplane/control.ts";
import type { ProbeTarget } from "../wire/probe/path-prober.ts";
import type { CaptureSessions } from "./capture-sessions.ts";
import { attachmentKey, type HostPort } from "./host-config.ts";
import type { HostServices } from "./host-services.ts";
import { toldExplanation } from "./process-protocol.ts";

/** The longest that captured frames are waited for, whatever the caller says. */
const longestWaitMs = 30_000;

/** A method of the process's control protocol. */
export type ProcessMethod = (params: Json, call: { readonly signal: AbortSignal }) => Promise<Json>;

/** What {@link diagnosisMethods} looks into. */
export interface DiagnosisMethodsOptions {
  readonly plane: DataPlane;
  readonly services: HostServices;
  readonly captures: CaptureSessions;
  /** The port that a call names. Throws `NOT_FOUND`. */
  readonly port: (params: Json) => HostPort;
  /** Makes a method that runs after the calls before it. */
  readonly queued: (run: (params: Json) => Promise<unknown>) => ProcessMethod;
}

/** The methods that only look: none changes what becomes of a VM's frame. */
export function diagnosisMethods({
  plane,
  services,
  captures,
  port,
  queued,
}: DiagnosisMethodsOptions): Readonly<Record<string, ProcessMethod>> {
  return {
    effectiveSetting: queued(async (params) => settingInForce(plane, port(params))),
    explain: queued(async (params) => {
      const { frame } = params as { frame: string };
      return toldExplanation(plane.tools.explain(attachmentKey(port(params)), Buffer.from(frame, "base64")));
    }),
    explainFromPeer: queued(async (params) => {
      const { switch: key, frame, ...way } = params as { switch: string; peer: string; vlan: number; frame: string };
      return toldExplanation(plane.tools.explainFromPeer(key, way, Buffer.from(frame, "base64")));
    }),
    uplinkUses: queued(async (params) => plane.uplinkUses((params as { switch: string }).switch)),
    neighbours: queued(async (params) => services.neighbours((params as { switch: string }).switch)),
    probe: async (params, { signal }) => {
      const { switch: key, targets } = params as unknown as { switch: string; targets: ProbeTarget[] };
      return (await services.probe(key, targets, signal)) as unknown as Json;
    },
    beginCapture: queued(async (params) =>
      captures.begin(attachmentKey(port(params)), (params as { snapLength: number }).snapLength),
    ),
    takeCaptured: async (params, { signal }) => {
      const { capture, limit, waitMs } = params as { capture: string; limit: number; waitMs: number };
      const frames = await captures.take(capture, { limit, waitMs: Math.min(waitMs, longestWaitMs), signal });
      return frames as unknown as Json;
    },
    endCapture: queued(async (params) => {
      captures.end((params as { capture: string }).capture);
      return {};
    }),
  };
}

/** The settings of a port in the values that the data plane works with. */
function settingInForce({ tools }: DataPlane, port: HostPort): HostPort["settings"] {
  const { shapingIn, shapingOut } = tools.effective(attachmentKey(port));
  const inForce = (shaping: typeof shapingIn) =>
    shaping && {
      averageBitsPerSecond: shaping.averageBitsPerSecond,
      peakBitsPerSecond: shaping.peakBitsPerSecond,
      burstBytes: shaping.burstBytes,
      packetsPerSecond: shaping.packetsPerSecond,
    };
  return {
    ...port.settings,
    ...(shapingIn === undefined ? {} : { shapingIn: inForce(shapingIn) }),
    ...(shapingOut === undefined ? {} : { shapingOut: inForce(shapingOut) }),
  };
}
