import { VdcError } from "@vdc-os/core";
import { keptSwitch, mustBeGoodPort, type PortBinding, type PortKeeper } from "@vdc-os/core/network/v1";
import { logicalPort } from "./names.ts";
import type { SwitchChange } from "./northbound-state.ts";
import type { Realization } from "./realization.ts";
import { type KeptSwitch, noCounters, type PortRecord } from "./records.ts";
import { validateSetting } from "./validate-switch.ts";

/** What {@link portKeeper} needs. */
export interface PortKeeperOptions {
  readonly provider: string;
  /** Where VM monitors plug NICs in. */
  readonly bridge: string;
  readonly switches: () => ReadonlyMap<string, KeptSwitch>;
  readonly change: <T>(decide: () => { readonly changes: readonly SwitchChange[]; readonly result: T }) => Promise<T>;
  readonly realization: Realization;
}

/**
 * How OVN takes ports over. While a move is prepared the logical port asks for both chassis, and the target's says nothing before its VM has announced
 * itself; activated, it asks for the target alone.
 */
export function portKeeper(options: PortKeeperOptions): PortKeeper<PortRecord> {
  const { provider, bridge, switches, change, realization } = options;
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
      const text = "OVN can't hold frames back: connect the port with 'open' or 'drop'";
      throw new VdcError("FAILED_PRECONDITION", text, { reason: "VDC_FACET_UNAVAILABLE" });
    },
    own: (_switchId, before) => ({ carried: before?.carried ?? noCounters }),
    bindingOf(port): PortBinding {
      const { switchId, portKey, host, generation } = port;
      const { mtu } = keptSwitch(switches(), switchId).record.spec;
      const attachment = { kind: "ovs", bridge, interfaceId: logicalPort(provider, port), mtu } as const;
      return { switchId, portKey, host, generation, attachment, fencing: "enforced" };
    },
    async reached(host) {
      if (!realization.isThere(host)) throw realization.absent(host);
    },
    settled: (switchId, hosts) => realization.settled(switchId, hosts),
    // The chassis that had the port has acknowledged that it has it no more.
    cutOff: ({ switchId, host }) => realization.settled(switchId, [host]),
    counted: async (_switchId, ports) => new Map(ports.map((port) => [port.portKey, realization.carried(port)])),
    carriedTo: async (port, next) => ({
      carried: realization.carried(port),
      base: realization.countedAt(next, next.host) ?? noCounters,
    }),
    statistics: async (switchId, portKey) => realization.statistics(keptSwitch(switches(), switchId), [portKey])[0],
  };
}
