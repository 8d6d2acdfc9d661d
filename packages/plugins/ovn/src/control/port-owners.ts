import { type Generation, VdcError } from "@vdc-os/core";
import { addressProblems, type ConnectPort, type PortBinding, refusedSpec } from "@vdc-os/core/network/v1";
import { logicalPort } from "./names.ts";
import type { KeptSwitch, SwitchChange } from "./northbound-state.ts";
import { connected, cut } from "./port-decisions.ts";
import type { Realization } from "./realization.ts";
import type { PortRecord } from "./records.ts";
import { validateSetting } from "./validate-switch.ts";

/** What {@link PortOwners} needs. */
export interface PortOwnersOptions {
  readonly provider: string;
  /** Where VM monitors plug NICs in. */
  readonly bridge: string;
  readonly switches: () => ReadonlyMap<string, KeptSwitch>;
  /** Throws `NOT_FOUND`. */
  readonly find: (switchId: string) => KeptSwitch;
  readonly change: <T>(decide: () => { readonly changes: readonly SwitchChange[]; readonly result: T }) => Promise<T>;
  readonly realization: Realization;
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

  /** Resolves when the port's owner is the one that is asked for, and whoever had it before is cut off. */
  async connect(input: ConnectPort): Promise<PortBinding> {
    const { find, change, realization } = this.#options;
    const { switchId, portKey, host } = input;
    const problems = [
      ...addressProblems(input.addresses),
      ...(input.setting === undefined ? [] : validateSetting(input.setting, "setting")),
    ];
    if (problems.length > 0) throw refusedSpec(`port '${portKey}'`, problems);
    if (input.gate === "hold") {
      throw new VdcError("FAILED_PRECONDITION", "OVN can't hold frames back: connect the port with 'open' or 'drop'", {
        reason: "VDC_FACET_UNAVAILABLE",
      });
    }
    const kept = find(switchId);
    const before = kept.ports.get(portKey);
    connected(kept, input);
    if (!realization.isThere(host)) throw realization.absent(host);
    const carried = before === undefined ? undefined : realization.carried(before);
    const port = await change(() => {
      const now = find(switchId);
      const next = connected(now, input);
      if (next === undefined) return { changes: [], result: now.ports.get(portKey) as PortRecord };
      const isNew = next.attachment !== before?.attachment;
      const record = carried === undefined || !isNew ? next : { ...next, carried };
      return { changes: [{ switchId, ports: [record] }], result: record };
    });
    // Whoever had the port before is cut off when both hosts have it.
    await realization.settled(switchId, [host, ...(before?.connected === true ? [before.host] : [])]);
    return this.binding(port);
  }

  async disconnect({ switchId, portKey, generation }: OwnedPort): Promise<void> {
    const { switches, realization } = this.#options;
    const port = switches().get(switchId)?.ports.get(portKey);
    if (port?.connected !== true || port.generation !== generation) return;
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: 0 });
    await realization.settled(switchId, [port.host]).catch(() => undefined);
  }

  /** Cuts off the owner and all before it: none of them comes back. */
  async revoke({ switchId, portKey, generation }: OwnedPort): Promise<void> {
    const { find, realization } = this.#options;
    const port = find(switchId).ports.get(portKey);
    if (port === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: generation + 1 });
    if (port.connected && port.generation <= generation) await realization.settled(switchId, [port.host]);
  }

  /** Disconnects the ports that nobody knows; returns which those were. */
  async collectGarbage(switchId: string, known: readonly string[]): Promise<readonly string[]> {
    const gone = [...this.#options.find(switchId).ports.values()].filter(
      ({ portKey, connected: isConnected }) => isConnected && !known.includes(portKey),
    );
    const portKeys = gone.map(({ portKey }) => portKey);
    await this.#cut(switchId, portKeys, { upTo: Number.POSITIVE_INFINITY, lowest: 0 });
    return portKeys.sort();
  }

  binding(port: PortRecord): PortBinding {
    const { switchId, portKey, host, generation } = port;
    const { provider, bridge, find } = this.#options;
    const { mtu } = find(switchId).record.spec;
    const attachment = { kind: "ovs", bridge, interfaceId: logicalPort(provider, port), mtu } as const;
    return { switchId, portKey, host, generation, attachment, fencing: "enforced" };
  }

  async #cut(
    switchId: string,
    portKeys: readonly string[],
    { upTo, lowest }: { readonly upTo: number; readonly lowest: number },
  ): Promise<void> {
    const { find, change } = this.#options;
    await change(() => {
      const { ports } = find(switchId);
      const changed = portKeys.flatMap((portKey) => {
        const port = ports.get(portKey);
        return port === undefined ? [] : (cut(port, upTo, lowest) ?? []);
      });
      return { changes: changed.length === 0 ? [] : [{ switchId, ports: changed }], result: undefined };
    });
  }
}
