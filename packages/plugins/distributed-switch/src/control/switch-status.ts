import type { MemberStatus, PortStatus, SwitchStatus } from "@vdc-os/core/network/v1";
import { attachmentKey } from "../process/host-config.ts";
import type { ProcessPortStatus } from "../process/process-protocol.ts";
import type { DesiredState } from "./desired-state.ts";
import { misplaced, portId } from "./host-config.ts";
import { type MemberView, memberState } from "./member-state.ts";
import type { PortRecord, SwitchRecord } from "./records.ts";

/** The switch as it is, as far as its hosts told. */
export function statusOf(
  state: DesiredState,
  { spec, generation }: SwitchRecord,
  viewOf: (host: string) => MemberView,
): SwitchStatus {
  const { switchId } = spec;
  const members = spec.members.map(({ host }): MemberStatus => {
    const view = viewOf(host);
    const part = view.status?.switches.find(({ key }) => key === switchId);
    const realizedGeneration = part?.specGeneration ?? 0;
    const unreached = spec.members.filter(
      (peer) => peer.host !== host && state.hosts.get(peer.host)?.port === undefined,
    );
    const tunnels = unreached.map((peer) => `'${peer.host}'`).join(", ");
    const findings = [...(tunnels === "" ? [] : [`no tunnel yet to ${tunnels}`]), ...(part?.findings ?? [])];
    const detail = view.detail === "" ? findings.join("; ") : view.detail;
    const own = memberState(view, realizedGeneration, { generation, revision: state.revision });
    // In force, but not for what goes to a host that nobody has reached yet, or what the host has no rights for.
    return { host, state: own === "up" && detail !== "" ? "warning" : own, realizedGeneration, detail };
  });
  const byHost = new Map<string, ReadonlyMap<string, ProcessPortStatus>>();
  const told = (host: string, view: MemberView): ReadonlyMap<string, ProcessPortStatus> => {
    let known = byHost.get(host);
    if (known === undefined) {
      known = new Map(view.status?.ports.map((each) => [attachmentKey(each), each]));
      byHost.set(host, known);
    }
    return known;
  };
  const ports = state
    .portsOf(switchId)
    .filter(({ connected }) => connected)
    .sort((a, b) => (a.portKey < b.portKey ? -1 : 1))
    .map((port): PortStatus => {
      const view = viewOf(port.host);
      const key = attachmentKey({ id: portId(switchId, port.portKey), attachment: port.attachment });
      const now = told(port.host, view).get(key);
      const problem = misplaced(spec, port) ?? troubleOfHost(port, view) ?? unconfirmedOwner(port) ?? loopOf(now);
      return {
        portKey: port.portKey,
        portGroup: port.portGroup,
        host: port.host,
        generation: port.generation,
        link: view.trouble === "none" ? (now?.link ?? "down") : "down",
        gate: now?.gate ?? port.gate,
        ...(problem === undefined ? {} : { problem }),
        learnedMacs: now?.learned ?? [],
        ...(port.opaque === undefined ? {} : { opaque: port.opaque }),
      };
    });
  return { switchId, desiredGeneration: generation, members, ports };
}

function troubleOfHost(port: PortRecord, view: MemberView): string | undefined {
  return view.trouble === "none" || view.trouble === "unknown" ? undefined : `host '${port.host}': ${view.detail}`;
}

function loopOf(now: ProcessPortStatus | undefined): string | undefined {
  if (now?.looped !== true) return undefined;
  return "its VM sends back what comes from other ports, as one does that bridges two of them: it gets no floods until it has stopped";
}

function unconfirmedOwner({ cuts, generation }: PortRecord): string | undefined {
  const hosts = [...new Set(cuts.filter((cut) => cut.generation < generation).map(({ host }) => `'${host}'`))];
  if (hosts.length === 0) return undefined;
  return `an older owner on host ${hosts.join(", ")} is not confirmed to be gone; the other hosts refuse its frames`;
}
