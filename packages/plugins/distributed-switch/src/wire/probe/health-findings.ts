import type { ProbeResult } from "./path-prober.ts";

export type HealthCheckName = "vlan" | "mtu" | "teaming" | "path";

/** What the probes say about the way from one member to another. As the contract's facet `healthCheck` has it. */
export interface PathFinding {
  readonly check: HealthCheckName;
  readonly from: string;
  readonly to: string;
  readonly ok: boolean;
  readonly detail: string;
}

/**
 * Judges probes. For each pair of members: `path`, whether anything passes; `vlan`, of each VLAN that was tried; `mtu`, whether frames of
 * the largest length that was tried pass; `teaming`, of each uplink that was tried. A way is good when at least half of its probes were
 * answered. Only what was tried is judged. Pure; the order is that of the pairs' first results.
 */
export function findingsOf(results: readonly ProbeResult[], checks: readonly HealthCheckName[]): PathFinding[] {
  const pairs = Map.groupBy(results, ({ from, to }) => JSON.stringify([from, to]));
  return [...pairs.values()].flatMap((pair) => checks.flatMap((check) => JUDGES[check](pair)));
}

type Judge = (pair: readonly ProbeResult[]) => PathFinding[];

const JUDGES: Readonly<Record<HealthCheckName, Judge>> = {
  path: judgePath,
  vlan: judgeVlans,
  mtu: judgeMtu,
  teaming: judgeTeaming,
};

function judgePath(pair: readonly ProbeResult[]): PathFinding[] {
  const small = smallest(pair);
  const good = small.filter(passes);
  const fastest = Math.min(...good.map(({ roundTripMs }) => roundTripMs ?? Number.POSITIVE_INFINITY));
  const answered = sum(small, "answered");
  const sent = sum(small, "sent");
  if (good.length > 0) {
    const time = Number.isFinite(fastest) ? `, ${fastest.toFixed(1)} ms there and back at best` : "";
    return [finding("path", pair, { ok: true, detail: `${answered} of ${sent} probes were answered${time}` })];
  }
  const refused = small.find((each) => each.refused !== undefined)?.refused;
  const detail =
    refused === undefined
      ? `${answered} of ${sent} probes were answered: ${wayHint(pair)}`
      : `nothing could be sent: ${refused}`;
  return [finding("path", pair, { ok: false, detail })];
}

function judgeVlans(pair: readonly ProbeResult[]): PathFinding[] {
  const byVlan = [...Map.groupBy(smallest(pair), ({ vlan }) => vlan)];
  const passing = byVlan.filter(([, each]) => each.some(passes)).map(([vlan]) => vlan);
  return byVlan.map(([vlan, each]) => {
    const name = vlan === 0 ? "untagged frames" : `VLAN ${vlan}`;
    const count = `${sum(each, "answered")} of ${sum(each, "sent")} probes`;
    if (each.some(passes)) return finding("vlan", pair, { ok: true, detail: `${name}: ${count} were answered` });
    const others =
      passing.length === 0
        ? "nothing passes in any VLAN, see 'path'"
        : `VLAN ${passing.join(", ")} passes: is ${vlan} allowed everywhere on the way?`;
    return finding("vlan", pair, { ok: false, detail: `${name}: ${count} were answered${refusal(each)}; ${others}` });
  });
}

function judgeMtu(pair: readonly ProbeResult[]): PathFinding[] {
  const bySize = [...Map.groupBy(pair, ({ frameBytes }) => frameBytes)].sort(([a], [b]) => a - b);
  const [largest, ofLargest] = bySize.at(-1) ?? [0, []];
  if (ofLargest.some(passes)) {
    return [finding("mtu", pair, { ok: true, detail: `frames of ${largest} octets pass` })];
  }
  const reached = bySize.findLast(([, each]) => each.some(passes))?.[0];
  const detail =
    reached === undefined
      ? `no frame passes, of ${bySize.map(([size]) => size).join(", ")} octets, see 'path'`
      : `frames of ${largest} octets are lost${refusal(ofLargest)}, of ${reached} octets pass: an MTU on the way is too small${mtuHint(pair, largest)}`;
  return [finding("mtu", pair, { ok: false, detail })];
}

function judgeTeaming(pair: readonly ProbeResult[]): PathFinding[] {
  const tried = smallest(pair.filter(({ uplink }) => uplink !== undefined));
  return [...Map.groupBy(tried, ({ uplink = "" }) => uplink)].map(([uplink, each]) => {
    const count = `${sum(each, "answered")} of ${sum(each, "sent")} probes were answered`;
    return finding("teaming", pair, { ok: each.some(passes), detail: `uplink '${uplink}': ${count}${refusal(each)}` });
  });
}

/** What to look at where nothing passes. */
function wayHint(pair: readonly ProbeResult[]): string {
  return isTunnelled(pair)
    ? "is the other host up, and does a firewall let the tunnels' UDP through?"
    : "is the other host up, and do the uplinks end in one network?";
}

/** How large the MTU must be between hosts that are joined by tunnels over IPv4; over IPv6 it is 20 more. */
function mtuHint(pair: readonly ProbeResult[], largest: number): string {
  return isTunnelled(pair) ? `, between the hosts it must be ${largest + tunnelHeaders}, or the switch's smaller` : "";
}

/** VXLAN, UDP and IPv4 (RFC 7348, 5). */
const tunnelHeaders = 8 + 8 + 20;

function isTunnelled(pair: readonly ProbeResult[]): boolean {
  return pair.every(({ uplink }) => uplink === undefined);
}

/** What tells about anything but length: the shortest frames of each VLAN and uplink. */
function smallest(pair: readonly ProbeResult[]): ProbeResult[] {
  const least = new Map<string, number>();
  const wayOf = ({ vlan, uplink }: ProbeResult): string => `${vlan} ${uplink ?? ""}`;
  for (const result of pair) {
    least.set(wayOf(result), Math.min(least.get(wayOf(result)) ?? Number.POSITIVE_INFINITY, result.frameBytes));
  }
  return pair.filter((result) => result.frameBytes === least.get(wayOf(result)));
}

function passes({ sent, answered }: ProbeResult): boolean {
  return answered > 0 && answered * 2 >= sent;
}

function sum(results: readonly ProbeResult[], what: "sent" | "answered"): number {
  return results.reduce((total, result) => total + result[what], 0);
}

function refusal(results: readonly ProbeResult[]): string {
  const refused = results.find((each) => each.refused !== undefined)?.refused;
  return refused === undefined ? "" : ` (not sent: ${refused})`;
}

function finding(
  check: HealthCheckName,
  [first]: readonly ProbeResult[],
  { ok, detail }: { readonly ok: boolean; readonly detail: string },
): PathFinding {
  return { check, from: first?.from ?? "", to: first?.to ?? "", ok, detail };
}
