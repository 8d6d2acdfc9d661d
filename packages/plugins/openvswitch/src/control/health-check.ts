import { randomBytes } from "node:crypto";
import type { Clock } from "@vdc-os/core";
import type {
  HealthCheckFacet,
  HealthCheckKind,
  HealthFinding,
  SwitchSpec,
  VlanSetting,
} from "@vdc-os/core/network/v1";
import { fieldValue } from "@vdc-os/openflow";
import { probeFrames, tables } from "../pipeline/tables.ts";
import type { HostLink } from "./host-link.ts";
import type { KeptSwitch } from "./records.ts";
import type { ShownFrames } from "./shown-frames.ts";

/** What {@link healthCheckFacet} needs. */
export interface HealthCheckOptions {
  readonly find: (switchId: string) => KeptSwitch;
  readonly hosts: ReadonlyMap<string, HostLink>;
  readonly shown: ShownFrames;
  readonly clock: Clock;
}

/** One frame from a member to another, in a VLAN (0: untagged). */
interface Probe {
  readonly from: string;
  readonly to: string;
  readonly vlan: number;
  readonly octets: number;
}

/** What became of a probe. */
type Outcome = { readonly sent: number; readonly tookMs?: number } | { readonly unable: string };

const smallOctets = 64;
/** A tunnel may lose its first frame while its host looks for the other one's address. */
const attempts = 8;
const betweenMs = 250;
const nonceOctets = 16;
const mark = Buffer.from("vdc-probe-1");

/**
 * Lets members send frames into their tunnels, and sees whether they come out at the other end: real ones, by OpenFlow, which take the way that a VM's frames
 * take between the hosts. A frame that is lost is sent again for two seconds.
 */
export function healthCheckFacet(options: HealthCheckOptions): HealthCheckFacet {
  return {
    async runHealthCheck({ switchId, checks }, { signal }) {
      const { spec } = options.find(switchId).record;
      const members = spec.members.map(({ host }) => host);
      const prober = new Prober(options, { switchId, signal });
      try {
        const found = await Promise.all(
          members.flatMap((from) =>
            members
              .filter((to) => to !== from)
              .flatMap((to) => checks.map((check) => findingsOf(check, { from, to, spec, prober }))),
          ),
        );
        signal.throwIfAborted();
        return found.flat();
      } finally {
        prober.close();
      }
    },
  };
}

async function findingsOf(
  check: HealthCheckKind,
  {
    from,
    to,
    spec,
    prober,
  }: { readonly from: string; readonly to: string; readonly spec: SwitchSpec } & {
    readonly prober: Prober;
  },
): Promise<readonly HealthFinding[]> {
  const vlans = vlansOf(spec);
  const tell = (outcome: Outcome, what: string, advice: string): HealthFinding => {
    const about = { check, from, to };
    if ("unable" in outcome) return { ...about, ok: false, detail: outcome.unable };
    const { sent, tookMs } = outcome;
    if (tookMs === undefined) return { ...about, ok: false, detail: `none of ${sent} ${what} arrived: ${advice}` };
    return { ...about, ok: true, detail: `${what} arrive, the first after ${Math.round(tookMs)} ms` };
  };
  switch (check) {
    case "path": {
      const [vlan = 0] = vlans;
      const outcome = await prober.probe({ from, to, vlan, octets: smallOctets });
      const advice = "do the hosts reach each other at their tunnel addresses, and does UDP port 4789 pass?";
      return [tell(outcome, "frames", advice)];
    }
    case "mtu": {
      const vlan = vlans.at(-1) ?? 0;
      const octets = spec.mtu + (vlan === 0 ? 14 : 18);
      const outcome = await prober.probe({ from, to, vlan, octets });
      return [tell(outcome, `frames of ${octets} octets`, "where small ones do, an MTU on the way is too small")];
    }
    case "vlan":
      return Promise.all(
        vlans.map(async (vlan) => {
          const what = vlan === 0 ? "untagged frames" : `frames of VLAN ${vlan}`;
          return tell(await prober.probe({ from, to, vlan, octets: smallOctets }), what, "see check 'path'");
        }),
      );
    case "teaming":
      return [{ check, from, to, ok: true, detail: "members are joined by tunnels: there are no uplinks to look at" }];
  }
}

/** Sends probes, and knows those that arrive by what only they have. */
class Prober {
  readonly #options: HealthCheckOptions;
  readonly #switchId: string;
  readonly #signal: AbortSignal;
  readonly #waiting = new Map<string, { readonly to: string; readonly inPort: number; readonly arrived: () => void }>();
  readonly #stop: () => void;

  constructor(
    options: HealthCheckOptions,
    { switchId, signal }: { readonly switchId: string; readonly signal: AbortSignal },
  ) {
    this.#options = options;
    this.#switchId = switchId;
    this.#signal = signal;
    this.#stop = options.shown.listen(({ switchId: each, host, packet }) => {
      if (each !== switchId || packet.table !== tables.classify) return;
      const waiting = this.#waiting.get(nonceOf(packet.data) ?? "");
      if (waiting?.to === host && BigInt(waiting.inPort) === fieldValue(packet.match, "inPort")) waiting.arrived();
    });
  }

  close(): void {
    this.#stop();
  }

  async probe({ from, to, vlan, octets }: Probe): Promise<Outcome> {
    const { hosts, clock } = this.#options;
    const [source, target] = [hosts.get(from), hosts.get(to)];
    for (const [host, link] of [
      [from, source],
      [to, target],
    ] as const) {
      if (link?.isConnected !== true) {
        return { unable: `Open vSwitch of host '${host}' is not followed: ${link?.problem ?? "it is not known"}` };
      }
    }
    const out = source?.bridgePorts(this.#switchId).tunnel(to, "frames");
    const inPort = target?.bridgePorts(this.#switchId).tunnel(from, "frames");
    if (out === undefined) return { unable: `host '${from}' has no tunnel to host '${to}'` };
    if (inPort === undefined) return { unable: `host '${to}' has no tunnel to host '${from}'` };
    const nonce = randomBytes(nonceOctets);
    const key = nonce.toString("hex");
    const frame = probeFrame({ nonce, vlan, octets });
    const began = clock.monotonic();
    const done = new AbortController();
    let tookMs: number | undefined;
    const arrived = (): void => {
      tookMs ??= clock.monotonic() - began;
      done.abort();
    };
    this.#waiting.set(key, { to, inPort, arrived });
    const either = AbortSignal.any([done.signal, this.#signal]);
    let sent = 0;
    try {
      while (sent < attempts && !either.aborted) {
        if (source?.sendFrame(this.#switchId, out, frame) !== true) {
          return { unable: `the connection to the bridge of host '${from}' has ended` };
        }
        sent += 1;
        await clock.sleep(betweenMs, { signal: either }).catch(() => undefined);
      }
    } finally {
      this.#waiting.delete(key);
    }
    return tookMs === undefined ? { sent } : { sent, tookMs };
  }
}

function probeFrame(of: { readonly nonce: Buffer; readonly vlan: number; readonly octets: number }): Buffer {
  const { nonce, vlan, octets } = of;
  const frame = Buffer.alloc(octets);
  frame.write(probeFrames.destination.replaceAll(":", ""), 0, "hex");
  // Of nobody: locally administered, and not one that can be given to a VM's NIC twice.
  frame.set([0x02, ...nonce.subarray(0, 5)], 6);
  let at = 12;
  if (vlan !== 0) {
    frame.writeUInt16BE(0x8100, at);
    frame.writeUInt16BE(vlan, at + 2);
    at += 4;
  }
  frame.writeUInt16BE(probeFrames.etherType, at);
  frame.set([...mark, ...nonce], at + 2);
  return frame;
}

function nonceOf(data: Buffer): string | undefined {
  const at = data.indexOf(mark);
  if (at < 14 || data.length < at + mark.length + nonceOctets) return undefined;
  return data.subarray(at + mark.length, at + mark.length + nonceOctets).toString("hex");
}

/** The VLANs of the port groups; a trunk counts by the ends of its ranges. */
function vlansOf({ portGroups }: SwitchSpec): readonly number[] {
  const vlans = portGroups.flatMap(({ setting }) => vlansOfSetting(setting.vlan));
  return [...new Set(vlans.length === 0 ? [0] : vlans)].sort((a, b) => a - b);
}

function vlansOfSetting(vlan: VlanSetting): readonly number[] {
  switch (vlan.kind) {
    case "none":
      return [0];
    case "access":
      return [vlan.id];
    case "trunk":
      return vlan.ranges.flatMap(({ from, to }) => [from, to]);
    case "pvlan":
      return [vlan.primary, vlan.secondary];
  }
}
