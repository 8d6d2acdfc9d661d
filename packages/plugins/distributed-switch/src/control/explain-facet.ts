import { VdcError } from "@vdc-os/core";
import type { ExplainFacet, FrameExplanation } from "@vdc-os/core/network/v1";
import type { ProcessExplanation } from "../process/process-protocol.ts";
import { ask, type FacetHost } from "./facets.ts";
import { attachmentKeyOf } from "./host-config.ts";
import { failureText } from "./member-state.ts";

/** How often a frame is followed from host to host: a port that has moved twice within a moment takes two. */
const furthest = 4;

/** A host that a frame comes to, and from which one. */
interface Arrival {
  readonly from: string;
  readonly to: string;
  readonly vlan: number;
  readonly frame: string;
}

/** What is found out on the way. */
interface Finding {
  /** The ports that get the frame. */
  readonly ports: string[];
  readonly hosts: string[];
  readonly steps: FrameExplanation["steps"][number][];
  /** Why it is lost on the way, in the order of the steps. */
  readonly losses: string[];
  /** Whether it leaves for where nobody can be asked. */
  open: boolean;
}

/**
 * What would become of a frame, up to the ports that get it: each host on its way is asked what it would do. What every host drops is
 * dropped, for the reason that it is counted under where it ends; a host that can't be asked is a step that says so.
 */
export function explainFacet(host: FacetHost): ExplainFacet {
  return {
    async explainFrame({ switchId, portKey, frame }) {
      const record = host.find(switchId, portKey);
      if (!record.connected) throw new VdcError("NOT_FOUND", `port '${portKey}' is not connected`);
      const first = (await ask(host, record, "explain", { frame })) as unknown as ProcessExplanation;
      const names = new Map(host.state.portsOf(switchId).map((port) => [attachmentKeyOf(port), port.portKey]));
      const found: Finding = { ports: [], hosts: [], steps: [], losses: [], open: false };
      const note = (explanation: ProcessExplanation, at?: string): void => {
        noteDown(found, explanation, { at, names, switchId });
      };
      note(first);
      let arrivals = arrivalsOf(first, record.host);
      for (let hop = 0; hop < furthest && arrivals.length > 0; hop += 1) {
        const answers = await Promise.all(arrivals.map((arrival) => askPeer(host, switchId, arrival)));
        const next: Arrival[] = [];
        for (const [index, answer] of answers.entries()) {
          const { to } = arrivals[index] as Arrival;
          found.hosts.push(to);
          if (typeof answer === "string") {
            found.steps.push({ stage: "forwarding", detail: `host '${to}' can't be asked: ${answer}` });
            found.open = true;
            continue;
          }
          note(answer, to);
          next.push(...arrivalsOf(answer, to));
        }
        arrivals = next;
      }
      return told(first, found);
    },
  };
}

function told({ verdict, reason }: ProcessExplanation, found: Finding): FrameExplanation {
  const { ports, hosts, steps, losses, open } = found;
  const rest = { ports, hosts: [...new Set(hosts)], steps };
  if (verdict === "hold") return { verdict: "drop", reason: "held", ...rest };
  if (verdict === "drop") return { verdict, reason: reason ?? "noDestination", ...rest };
  // A loss at a port says more than that other hosts had nobody for it.
  const lost = losses.find((loss) => loss !== "noDestination") ?? losses[0];
  if (ports.length === 0 && !open && lost !== undefined) return { verdict: "drop", reason: lost, ...rest };
  return { verdict, reason: verdict === "flood" ? "everybody" : "knownAddress", ...rest };
}

function noteDown(
  found: Finding,
  { ports, reason, uplink, steps }: ProcessExplanation,
  {
    at,
    names,
    switchId,
  }: { readonly at: string | undefined; readonly names: ReadonlyMap<string, string>; readonly switchId: string },
): void {
  const where = at === undefined ? "" : `on '${at}': `;
  // The data plane's keys of ports and uplinks are its own.
  const nameOf = (key: string): string => names.get(key) ?? key.replace(`${switchId}/`, "");
  for (const { stage, text, port, drop } of steps) {
    const said = port === undefined ? text : text.replaceAll(port, nameOf(port));
    found.steps.push({ stage, detail: `${where}${said}${drop === undefined ? "" : `: ${drop}`}` });
  }
  if (reason !== undefined) found.losses.push(reason);
  for (const { port, drop } of ports) {
    if (drop === undefined) found.ports.push(nameOf(port));
    else found.losses.push(drop);
  }
  if (uplink !== undefined) found.open = true;
}

function arrivalsOf({ peers, vlan = 0, onward }: ProcessExplanation, from: string): Arrival[] {
  return onward === undefined ? [] : peers.map((to) => ({ from, to, vlan, frame: onward }));
}

/** What a host would do with a frame of another one; why it can't be asked. */
async function askPeer(
  host: FacetHost,
  switchId: string,
  { from, to, vlan, frame }: Arrival,
): Promise<ProcessExplanation | string> {
  try {
    const params = { switch: switchId, peer: from, vlan, frame };
    return (await host.member(to).request("explainFromPeer", params)) as unknown as ProcessExplanation;
  } catch (error) {
    return failureText(error);
  }
}
