import { VdcError } from "@vdc-os/core";
import type { ExplainFacet, FrameExplanation } from "@vdc-os/core/network/v1";
import type { Flow } from "@vdc-os/openflow";
import { type BridgePorts, switchFlows } from "../pipeline/switch-flows.ts";
import { dropCodes, tables } from "../pipeline/tables.ts";
import { traceFlows } from "../pipeline/trace-flows.ts";
import { readFrame, type TracedFrame } from "../pipeline/traced-frame.ts";
import type { HostLink } from "./host-link.ts";
import type { KeptSwitch } from "./records.ts";

const tableNames = new Map<number, string>(Object.entries(tables).map(([name, table]) => [table, name]));
const reasons = new Map<number, string>(Object.entries(dropCodes).map(([name, code]) => [code, name]));

interface Bridge {
  readonly kept: KeptSwitch;
  readonly ports: BridgePorts;
  readonly flows: readonly Flow[];
}

/** What bridges would do with a frame, followed through the flows that they hold, from host to host. */
export function explainFacet(
  find: (switchId: string) => KeptSwitch,
  hosts: ReadonlyMap<string, HostLink>,
): ExplainFacet {
  const bridgeOf = (switchId: string, host: string): Bridge | undefined => {
    const link = hosts.get(host);
    const kept = link?.view(switchId).realized;
    if (link === undefined || kept === undefined) return undefined;
    const ports = link.bridgePorts(switchId);
    return { kept, ports, flows: switchFlows(kept, ports).flows };
  };
  return {
    async explainFrame({ switchId, portKey, frame }) {
      const port = find(switchId).ports.get(portKey);
      if (port?.connected !== true) throw new VdcError("NOT_FOUND", `port '${portKey}' is not connected`);
      const bridge = bridgeOf(switchId, port.host);
      const nic = bridge?.ports.nic(port);
      if (bridge === undefined || nic === undefined) {
        const why =
          bridge === undefined ? `host '${port.host}' has no flows of the switch now` : "no NIC is plugged in";
        return {
          verdict: "drop",
          reason: "linkDown",
          ports: [],
          hosts: [],
          steps: [{ stage: "classify", detail: why }],
        };
      }
      return new Explanation((host) => bridgeOf(switchId, host)).of(
        bridge,
        readFrame(Buffer.from(frame, "base64")),
        nic,
      );
    },
  };
}

class Explanation {
  readonly #bridgeOf: (host: string) => Bridge | undefined;
  readonly #ports = new Set<string>();
  readonly #hosts = new Set<string>();
  readonly #steps: { readonly stage: string; readonly detail: string }[] = [];

  constructor(bridgeOf: (host: string) => Bridge | undefined) {
    this.#bridgeOf = bridgeOf;
  }

  of(bridge: Bridge, frame: TracedFrame, nic: number): FrameExplanation {
    const met = this.#follow(bridge, frame, nic);
    const reason = dropReason(met);
    const common = { ports: [...this.#ports].sort(), hosts: [...this.#hosts].sort(), steps: this.#steps };
    if (reason !== undefined) return { verdict: "drop", reason, ...common };
    const delivery = met.find(({ table }) => table === tables.deliver);
    const isKnown = delivery?.priority === 20;
    return { verdict: isKnown ? "forward" : "flood", reason: isKnown ? "knownAddress" : "everybody", ...common };
  }

  #follow(bridge: Bridge, frame: TracedFrame, inPort: number): readonly Flow[] {
    const { host } = bridge.ports;
    const trace = traceFlows(bridge.flows, frame, inPort);
    for (const flow of trace.flows)
      this.#steps.push({ stage: tableNames.get(flow.table) ?? "", detail: told(host, flow) });
    if (trace.flows.at(-1)?.table === undefined)
      this.#steps.push({ stage: "classify", detail: `${host}: no flow matches` });
    for (const { port, tags } of trace.outputs) {
      const found = [...bridge.kept.ports.values()].find((each) => each.connected && bridge.ports.nic(each) === port);
      if (found !== undefined) {
        this.#ports.add(found.portKey);
        this.#steps.push({ stage: "output", detail: `${host}: leaves by port '${found.portKey}'` });
        continue;
      }
      this.#across(bridge, { ...frame, tags }, port);
    }
    return trace.flows;
  }

  #across({ kept, ports }: Bridge, frame: TracedFrame, port: number): void {
    for (const { host } of kept.record.spec.members) {
      const kind = (["frames", "copies"] as const).find((each) => ports.tunnel(host, each) === port);
      if (kind === undefined) continue;
      const isNew = !this.#hosts.has(host);
      this.#hosts.add(host);
      this.#steps.push({ stage: "output", detail: `${ports.host}: leaves by the tunnel to host '${host}' (${kind})` });
      const there = this.#bridgeOf(host);
      const inPort = there?.ports.tunnel(ports.host, kind);
      // One that just moved may be sent on once more; no frame visits a host for frames twice.
      if (there !== undefined && inPort !== undefined && (isNew || kind === "copies"))
        this.#follow(there, frame, inPort);
    }
  }
}

function dropReason(met: readonly Flow[]): string | undefined {
  const verdict = met.find(({ table }) => table === tables.verdict);
  const code = Number(verdict?.match.find(({ field }) => field === "reg1")?.value ?? 0n);
  if (code !== 0) return reasons.get(code) ?? "other";
  if (met.some(({ table }) => table === tables.unknown)) return "noDestination";
  return verdict === undefined ? "linkDown" : undefined;
}

function told(host: string, { priority, match, actions = [], next }: Flow): string {
  const looks = match.map(
    ({ field, value, mask }) =>
      `${field}=0x${value.toString(16)}${mask === undefined ? "" : `/0x${mask.toString(16)}`}`,
  );
  const does = [...actions.map(({ kind }) => kind), ...(next === undefined ? [] : [`to ${tableNames.get(next)}`])];
  return `${host}: priority ${priority}, ${looks.join(", ") || "anything"}: ${does.join(", ") || "drop"}`;
}
