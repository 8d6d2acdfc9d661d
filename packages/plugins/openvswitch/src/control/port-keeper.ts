import { VdcError } from "@vdc-os/core";
import {
  keptSwitch,
  mustBeGoodPort,
  type PortBinding,
  type PortKeeper,
  type PortStatistics,
  settingOf,
} from "@vdc-os/core/network/v1";
import type { SwitchChange } from "./desired-state.ts";
import { bridgeName, interfaceId } from "./names.ts";
import type { PortCounting } from "./port-counting.ts";
import { freeNumber, type KeptSwitch, noCounters, type PortRecord } from "./records.ts";
import type { Settling } from "./settling.ts";
import { validateSetting } from "./validate-switch.ts";

/** What {@link portKeeper} needs. */
export interface PortKeeperOptions {
  /** The provider's name. */
  readonly provider: string;
  readonly switches: () => ReadonlyMap<string, KeptSwitch>;
  readonly change: <T>(decide: () => { readonly changes: readonly SwitchChange[]; readonly result: T }) => Promise<T>;
  readonly counting: PortCounting;
  readonly settling: Settling;
  readonly statistics: (switchId: string, portKey: string) => Promise<PortStatistics | undefined>;
}

/** How Open vSwitch takes ports over: from the records, host by host. What a host is not told now, it is told before it is followed again. */
export function portKeeper(options: PortKeeperOptions): PortKeeper<PortRecord> {
  const { provider, switches, change, counting, settling, statistics } = options;
  const find = (switchId: string): KeptSwitch => keptSwitch(switches(), switchId);
  const settled = (switchId: string, hosts: readonly string[]): Promise<void> =>
    settling.settled(switches().get(switchId), hosts);
  const bindingOf = (port: PortRecord): PortBinding => {
    const { switchId, portKey, host, generation } = port;
    const { spec } = find(switchId).record;
    return {
      switchId,
      portKey,
      host,
      generation,
      attachment: {
        kind: "ovs",
        bridge: bridgeName(provider, switchId),
        interfaceId: interfaceId(provider, port),
        mtu: spec.mtu,
      },
      // Other hosts refuse a port's address from wherever it is not; addresses that a VM makes up are nobody's.
      fencing: settingOf(spec, port)?.security.forgedTransmits === true ? "detach" : "enforced",
    };
  };
  return {
    switches,
    change: (decide) =>
      change(() => {
        const { ports, result } = decide();
        const [first] = ports;
        return { changes: first === undefined ? [] : [{ switchId: first.switchId, ports }], result };
      }),
    admit(input) {
      mustBeGoodPort(input, validateSetting);
      if (input.gate !== "hold") return;
      const text = "Open vSwitch can't hold frames back: connect the port with 'open' or 'drop'";
      throw new VdcError("FAILED_PRECONDITION", text, { reason: "VDC_FACET_UNAVAILABLE" });
    },
    own: (switchId, before) => ({
      number: before?.number ?? freeNumber(find(switchId).ports.values()),
      carried: before?.carried ?? noCounters,
    }),
    bindingOf,
    reached: (host) => settling.reached(host),
    settled,
    // A port's next owner waits for every host that can be reached anyway, and for no other.
    cutOff: async (port, until) => {
      if (until === "revoked") await settled(port.switchId, bindingOf(port).fencing === "enforced" ? [] : [port.host]);
    },
    async counted(switchId, ports) {
      const counted = await counting.statistics(find(switchId), ports);
      return new Map(counted.map(({ portKey, framesHeld: _, ...counters }) => [portKey, counters]));
    },
    carriedTo: (port, next) => counting.carriedTo(find(port.switchId), port, next.host),
    statistics,
  };
}
