import { type Generation, VdcError } from "@vdc-os/core";
import { addressProblems, type ConnectPort, type PortBinding, refusedSpec } from "@vdc-os/core/network/v1";
import { settingOf } from "../pipeline/switch-flows.ts";
import type { SwitchChange } from "./desired-state.ts";
import type { HostLink } from "./host-link.ts";
import { bridgeName, interfaceId } from "./names.ts";
import type { PortCounting } from "./port-counting.ts";
import { connected, cut } from "./port-decisions.ts";
import type { KeptSwitch, PortRecord } from "./records.ts";
import type { Settling } from "./settling.ts";
import { validateSetting } from "./validate-switch.ts";

/** What {@link PortOwners} needs. */
export interface PortOwnersOptions {
  /** The provider's. */
  readonly name: string;
  readonly switches: () => ReadonlyMap<string, KeptSwitch>;
  /** Throws `NOT_FOUND`. */
  readonly find: (switchId: string) => KeptSwitch;
  readonly change: <T>(decide: () => { readonly changes: readonly SwitchChange[]; readonly result: T }) => Promise<T>;
  readonly hosts: ReadonlyMap<string, HostLink>;
  readonly counting: PortCounting;
  readonly settling: Settling;
}

/** A port, and the owner that it is about. */
export interface OwnedPort {
  readonly switchId: string;
  readonly portKey: string;
  readonly generation: Generation;
}

/** Who has which port: one owner each, known by its generation. */
export class PortOwners {
  readonly #options: PortOwnersOptions;

  constructor(options: PortOwnersOptions) {
    this.#options = options;
  }

  /** Resolves when the port's owner is the one that is asked for, and every host that can be reached knows it. */
  async connect(input: ConnectPort): Promise<PortBinding> {
    const { find, switches, change, hosts, counting, settling } = this.#options;
    const { switchId, portKey, host } = input;
    const problems = [
      ...addressProblems(input.addresses),
      ...(input.setting === undefined ? [] : validateSetting(input.setting, "setting")),
    ];
    if (problems.length > 0) throw refusedSpec(`port '${portKey}'`, problems);
    if (input.gate === "hold") {
      const text = "Open vSwitch can't hold frames back: connect the port with 'open' or 'drop'";
      throw new VdcError("FAILED_PRECONDITION", text, { reason: "VDC_FACET_UNAVAILABLE" });
    }
    const kept = find(switchId);
    const before = kept.ports.get(portKey);
    const first = connected(kept, input);
    if (hosts.get(host)?.isConnected !== true) await settling.reached(host);
    const isMoved = first !== undefined && before !== undefined && first.attachment !== before.attachment;
    const carried = isMoved ? await counting.carriedTo(kept, before, host) : undefined;
    const port = await change(() => {
      const now = find(switchId);
      const next = connected(now, input);
      if (next === undefined) return { changes: [], result: now.ports.get(portKey) as PortRecord };
      const isNew = carried !== undefined && next.attachment === first?.attachment;
      const record = isNew ? { ...next, ...carried } : next;
      return { changes: [{ switchId, ports: [record] }], result: record };
    });
    // Whoever had the port before is cut off once every host that can be reached knows it; the others will, before they are followed again.
    await settling.settled(switches().get(switchId), [host]);
    return this.binding(port);
  }

  async disconnect({ switchId, portKey, generation }: OwnedPort): Promise<void> {
    const { switches, settling } = this.#options;
    const port = switches().get(switchId)?.ports.get(portKey);
    if (port?.connected !== true || port.generation !== generation) return;
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: 0 });
    await settling.settled(switches().get(switchId), [port.host]).catch(() => undefined);
  }

  /** Cuts off the owner and all before it: none of them comes back. */
  async revoke({ switchId, portKey, generation }: OwnedPort): Promise<void> {
    const { find, switches, settling } = this.#options;
    const port = find(switchId).ports.get(portKey);
    if (port === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: generation + 1 });
    if (!port.connected || port.generation > generation) return;
    const isEnforced = this.binding(port).fencing === "enforced";
    await settling.settled(switches().get(switchId), isEnforced ? [] : [port.host]);
  }

  /** Disconnects the ports that nobody knows; returns which those were. */
  async collectGarbage(switchId: string, knownKeys: readonly string[]): Promise<readonly string[]> {
    const known = new Set(knownKeys);
    const ports = [...this.#options.find(switchId).ports.values()];
    const gone = ports.filter((port) => port.connected && !known.has(port.portKey)).map(({ portKey }) => portKey);
    await this.#cut(switchId, gone, { upTo: Number.POSITIVE_INFINITY, lowest: 0 });
    return gone.sort();
  }

  binding(port: PortRecord): PortBinding {
    const { switchId, portKey, host, generation } = port;
    const { name, find } = this.#options;
    const { spec } = find(switchId).record;
    const setting = settingOf(spec, port);
    const attachment = {
      kind: "ovs",
      bridge: bridgeName(name, switchId),
      interfaceId: interfaceId(name, port),
    } as const;
    return {
      switchId,
      portKey,
      host,
      generation,
      attachment: { ...attachment, mtu: spec.mtu },
      // Other hosts refuse a port's address from wherever it is not; addresses that a VM makes up are nobody's.
      fencing: setting?.security.forgedTransmits === true ? "detach" : "enforced",
    };
  }

  async #cut(
    switchId: string,
    portKeys: readonly string[],
    { upTo, lowest }: { readonly upTo: number; readonly lowest: number },
  ): Promise<void> {
    const { find, change, counting } = this.#options;
    const kept = find(switchId);
    const found = portKeys.flatMap((portKey) => kept.ports.get(portKey) ?? []);
    const counted = new Map<string, PortRecord["carried"]>();
    // What was counted goes with the flows that counted it.
    for (const { portKey, framesHeld: _, ...counters } of await counting.statistics(kept, found)) {
      counted.set(portKey, counters);
    }
    await change(() => {
      const { ports } = find(switchId);
      const changed = portKeys.flatMap((portKey) => {
        const port = ports.get(portKey);
        const next = port === undefined ? undefined : cut(port, upTo, lowest);
        if (next === undefined) return [];
        const carried = counted.get(portKey);
        return next.connected || carried === undefined ? [next] : [{ ...next, carried }];
      });
      return { changes: changed.length === 0 ? [] : [{ switchId, ports: changed }], result: undefined };
    });
  }
}
