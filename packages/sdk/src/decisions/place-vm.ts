import type { Bytes } from "@vdc-os/core";

/** A host as placement sees it. */
export interface PlacementHost {
  readonly name: string;
  readonly connected: boolean;
  readonly schedulable: boolean;
  readonly cpus: number;
  readonly memoryBytes: Bytes;
  /** What VMs that are placed there were promised. */
  readonly promisedCpus: number;
  readonly promisedMemoryBytes: Bytes;
  readonly vms: number;
}

/** What a VM needs of a host. */
export interface PlacementRequest {
  readonly cpus: number;
  readonly memoryBytes: Bytes;
  /** The host it must be on. */
  readonly host?: string;
  /** The hosts its networks and volumes reach. Absent when any will do. */
  readonly reachable?: readonly string[];
}

/** Where a VM goes, and why; or why it can't go anywhere, host by host. */
export type PlacementDecision =
  | { readonly placed: true; readonly host: string; readonly reason: string }
  | { readonly placed: false; readonly reasons: Readonly<Record<string, string>> };

/** How far virtual CPUs may exceed a host's. */
const maxCpuOverCommit = 8;

/**
 * Chooses a host: filters, then the one with the largest share of memory left, then the fewest VMs, then the first by name. Memory is never
 * over-committed. Pure: the same input gives the same answer.
 */
export function placeVm(request: PlacementRequest, hosts: readonly PlacementHost[]): PlacementDecision {
  const reasons: Record<string, string> = {};
  const fitting: PlacementHost[] = [];
  for (const host of hosts) {
    const reason = unfit(request, host);
    if (reason === undefined) fitting.push(host);
    else reasons[host.name] = reason;
  }
  if (request.host !== undefined && !hosts.some((host) => host.name === request.host)) {
    reasons[request.host] = "is not a host of this datacenter";
  }
  const free = (host: PlacementHost): number =>
    (host.memoryBytes - host.promisedMemoryBytes - request.memoryBytes) / host.memoryBytes;
  fitting.sort((a, b) => free(b) - free(a) || a.vms - b.vms || (a.name < b.name ? -1 : 1));
  const [best] = fitting;
  if (best === undefined) return { placed: false, reasons };
  const reason =
    request.host === undefined
      ? `most memory left of ${fitting.length} fitting ${fitting.length === 1 ? "host" : "hosts"} (${Math.round(free(best) * 100)} % after it)`
      : "asked for by name";
  return { placed: true, host: best.name, reason };
}

function unfit(request: PlacementRequest, host: PlacementHost): string | undefined {
  if (request.host !== undefined && request.host !== host.name) return `host '${request.host}' was asked for`;
  if (!host.connected) return "is disconnected";
  if (!host.schedulable && request.host === undefined) return "takes no new VMs";
  if (request.reachable !== undefined && !request.reachable.includes(host.name))
    return "is not reached by the VM's networks or volumes";
  const memoryLeft = host.memoryBytes - host.promisedMemoryBytes;
  if (memoryLeft < request.memoryBytes)
    return `has ${memoryLeft} bytes of memory left, and ${request.memoryBytes} are needed`;
  const cpusLeft = host.cpus * maxCpuOverCommit - host.promisedCpus;
  if (cpusLeft < request.cpus) return `has ${cpusLeft} virtual CPUs left, and ${request.cpus} are needed`;
  return undefined;
}
