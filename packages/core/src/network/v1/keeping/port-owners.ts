import type { Generation } from "../../../contract/ownership.ts";
import type { ConnectPort, PortBinding } from "../port.ts";
import { connectedPort, cutPort } from "./port-decisions.ts";
import { keptPort, keptSwitch, type PortKeeper } from "./port-keeper.ts";
import type { KeptSwitch, MovablePortRecord } from "./port-record.ts";

/** A port, and the owner that it is about. */
export interface OwnedPort {
  readonly switchId: string;
  readonly portKey: string;
  readonly generation: Generation;
}

/** Who has which port: one owner each, known by its generation. For any provider that keeps ports as records. */
export class PortOwners<P extends MovablePortRecord> {
  readonly #keeper: PortKeeper<P>;

  constructor(keeper: PortKeeper<P>) {
    this.#keeper = keeper;
  }

  /** Resolves when the port's owner is the one that is asked for, its host knows it, and whoever had the port before is cut off. */
  async connect(input: ConnectPort): Promise<PortBinding> {
    const keeper = this.#keeper;
    const { switchId, portKey, host } = input;
    keeper.admit(input);
    const kept = this.#find(switchId);
    const before = kept.ports.get(portKey);
    const first = this.#wanted(kept, input);
    await keeper.reached(host);
    const isNew = first !== undefined && before !== undefined && first.attachment !== before.attachment;
    const carried = isNew ? await keeper.carriedTo(before, first) : undefined;
    const port = await keeper.change(() => {
      const next = this.#wanted(this.#find(switchId), input);
      if (next === undefined) return { ports: [], result: keptPort(keeper.switches(), switchId, portKey) };
      const record = next.attachment === first?.attachment ? { ...next, ...carried } : next;
      return { ports: [record], result: record };
    });
    await Promise.all([
      keeper.settled(switchId, [host]),
      ...(before?.connected === true ? [keeper.cutOff(before, "replaced")] : []),
    ]);
    return keeper.bindingOf(port);
  }

  /** Ends the connection of just this owner. A host that can't be reached now lets go when it returns. */
  async disconnect({ switchId, portKey, generation }: OwnedPort): Promise<void> {
    const port = this.#keeper.switches().get(switchId)?.ports.get(portKey);
    if (port?.connected !== true || port.generation !== generation) return;
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: 0 });
    await this.#keeper.settled(switchId, [port.host]).catch(() => undefined);
  }

  /** Cuts off the owner and all before it: none of them comes back. */
  async revoke({ switchId, portKey, generation }: OwnedPort): Promise<void> {
    const port = keptPort(this.#keeper.switches(), switchId, portKey);
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: generation + 1 });
    if (port.connected && port.generation <= generation) await this.#keeper.cutOff(port, "revoked");
  }

  /** Disconnects the ports that nobody knows; returns which those were. */
  async collectGarbage(switchId: string, knownKeys: readonly string[]): Promise<readonly string[]> {
    const known = new Set(knownKeys);
    const ports = [...this.#find(switchId).ports.values()];
    const gone = ports.filter((port) => port.connected && !known.has(port.portKey)).map(({ portKey }) => portKey);
    await this.#cut(switchId, gone, { upTo: Number.POSITIVE_INFINITY, lowest: 0 });
    return gone.sort();
  }

  async #cut(
    switchId: string,
    portKeys: readonly string[],
    { upTo, lowest }: { readonly upTo: number; readonly lowest: number },
  ): Promise<void> {
    const kept = this.#find(switchId);
    const found = portKeys.flatMap((portKey) => kept.ports.get(portKey) ?? []);
    // What was counted goes with the attachment that counted it.
    const counts = await this.#keeper.counted(switchId, found);
    await this.#keeper.change(() => {
      const { ports } = this.#find(switchId);
      const changed = portKeys.flatMap((portKey) => {
        const port = ports.get(portKey);
        const next = port === undefined ? undefined : cutPort(port, upTo, lowest);
        if (next === undefined) return [];
        const carried = counts.get(portKey);
        return next.connected || carried === undefined ? [next] : [{ ...next, carried }];
      });
      return { ports: changed, result: undefined };
    });
  }

  #wanted({ record: { spec }, ports }: KeptSwitch<P>, input: ConnectPort): P | undefined {
    return connectedPort({ spec, ports }, input, (before) => this.#keeper.own(input.switchId, before));
  }

  #find(switchId: string): KeptSwitch<P> {
    return keptSwitch(this.#keeper.switches(), switchId);
  }
}
