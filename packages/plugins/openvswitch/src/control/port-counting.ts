import { addCounters, combineCounters, countersSince, type PortStatistics } from "@vdc-os/core/network/v1";
import type { HostLink } from "./host-link.ts";
import { type KeptSwitch, noCounters, type PortCounters, type PortRecord } from "./records.ts";

/**
 * The counters of ports over all places where they have been. Hosts are asked at once; flows are counted by Open vSwitch within half a second. What was told
 * once is never taken back, and it adds up.
 */
export class PortCounting {
  readonly #hosts: ReadonlyMap<string, HostLink>;
  readonly #told = new Map<string, Map<string, PortCounters>>();

  constructor(hosts: ReadonlyMap<string, HostLink>) {
    this.#hosts = hosts;
  }

  /** What these ports have counted until now. */
  async statistics(kept: KeptSwitch, ports: readonly PortRecord[]): Promise<readonly PortStatistics[]> {
    const [only] = ports.length === 1 ? ports : [];
    const hosts = new Set(ports.filter(({ connected }) => connected).map(({ host }) => host));
    const counted = new Map<string, ReadonlyMap<number, PortCounters>>();
    await Promise.all(
      [...hosts].map(async (host) => {
        counted.set(host, (await this.#hosts.get(host)?.counters(kept, only)) ?? new Map());
      }),
    );
    return ports.map((port) => {
      const here = counted.get(port.host)?.get(port.number);
      return { portKey: port.portKey, framesHeld: "0", ...this.#tell(port, here) };
    });
  }

  /** What a port takes along to an attachment on a host: what it has counted, and what the host has counted for it before. */
  async carriedTo(kept: KeptSwitch, port: PortRecord, host: string): Promise<Pick<PortRecord, "carried" | "base">> {
    const here = port.connected ? await this.#hosts.get(port.host)?.countersOf(kept, port) : undefined;
    const there = (await this.#hosts.get(host)?.countersOf(kept, port)) ?? noCounters;
    // Another NIC begins to count anew.
    return { carried: this.#tell(port, here), base: { ...there, framesOut: "0", bytesOut: "0" } };
  }

  forget(switchId: string): void {
    this.#told.delete(switchId);
  }

  #tell(port: PortRecord, here: PortCounters | undefined): PortCounters {
    const { switchId, portKey, carried, base = noCounters } = port;
    const ofSwitch = this.#told.get(switchId) ?? new Map<string, PortCounters>();
    this.#told.set(switchId, ofSwitch);
    const now = here === undefined ? carried : addCounters(carried, countersSince(here, base));
    const told = highest(now, ofSwitch.get(portKey) ?? noCounters);
    ofSwitch.set(portKey, told);
    return told;
  }
}

/** The higher of two counts, by each counter; what came in is the sum of what became of it. */
function highest(a: PortCounters, b: PortCounters): PortCounters {
  const counters = combineCounters(a, b, (one, other) => one + (other > one ? other - one : 0n));
  const dropped = Object.values(counters.dropsIn);
  const framesIn = dropped.reduce((sum, count) => sum + BigInt(count), BigInt(counters.framesForwarded));
  return { ...counters, framesIn: String(framesIn) };
}
