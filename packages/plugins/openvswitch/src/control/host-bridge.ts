import type { TlsSettings } from "@vdc-os/ovsdb";
import type { PacketIn } from "@vdc-os/openflow";
import { type BridgePorts, type CapturedPorts, switchFlows } from "../pipeline/switch-flows.ts";
import { BridgeFlows } from "./bridge-flows.ts";
import type { BridgeView } from "./host-database.ts";
import type { DesiredBridge } from "./host-rows.ts";
import type { KeptSwitch, PortCounters } from "./records.ts";

/** Options of {@link HostBridge}. */
export interface HostBridgeOptions {
  readonly tls?: TlsSettings;
  readonly timeoutMs: number;
  /** Of the manager: the one with the highest number may change bridges. */
  readonly generation: number;
  /** Called when the connection to the bridge has ended. */
  readonly onClose: () => void;
  /** Called for each frame that flows send to the manager. */
  readonly onPacket: (packet: PacketIn) => void;
}

/** What a bridge's flows are made from. */
export interface BridgeBasis {
  readonly kept: KeptSwitch;
  /** The bridge as its host's database tells it now. */
  readonly view: BridgeView | undefined;
  readonly ports: BridgePorts;
  readonly captured: CapturedPorts;
}

/** A switch's bridge on one host: the connection to it, and what is known to be in force there. */
export class HostBridge {
  readonly #options: HostBridgeOptions;
  #flows: BridgeFlows | undefined;
  /** What flows were last made from, so that they are made again only when that has changed. */
  #basis: { readonly kept: KeptSwitch; readonly ports: string; readonly captured: CapturedPorts } | undefined;
  #realized: KeptSwitch | undefined;
  #nics: ReadonlyMap<string, number> = new Map();
  #problem: string | undefined;

  constructor(options: HostBridgeOptions) {
    this.#options = options;
  }

  /** What was there when all of it was last as it should be, over this connection: flows read back, and tunnels made. */
  get realized(): KeptSwitch | undefined {
    return this.#isConnected ? this.#realized : undefined;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  /** The NICs that flows are there for, by `iface-id`. */
  get nics(): ReadonlyMap<string, number> {
    return this.#nics;
  }

  /** Lets the next {@link sync} read all that the bridge holds. */
  distrust(): void {
    this.#flows?.distrust();
    this.#basis = undefined;
  }

  /** Makes the bridge's flows as they should be. Returns whether another manager has taken it over; what else fails is a problem. */
  async sync(desired: DesiredBridge, { kept, view, ports, captured }: BridgeBasis): Promise<"done" | "superseded"> {
    const failed = desired.tunnels.flatMap(({ name, host }) => {
      const port = view?.ports.find((each) => each.name === name);
      if (port === undefined) return [`tunnel '${name}' to host '${host}' is not there`];
      if (port.ofport !== undefined) return [];
      return [`tunnel '${name}' to host '${host}' can't be made: ${port.error ?? "Open vSwitch does not say why"}`];
    });
    const numbers = JSON.stringify(view?.ports.map(({ name, interfaceId, ofport }) => [name, interfaceId, ofport]));
    const basis = this.#basis;
    const isSame = basis?.kept === kept && basis.ports === numbers && basis.captured === captured && this.#isConnected;
    if (isSame && this.#problem === undefined) return "done";
    try {
      const flows = await this.#connect(desired);
      if (flows === undefined) return "superseded";
      const made = switchFlows(kept, ports, captured);
      await flows.sync(made.flows, made.meters);
      this.#basis = { kept, ports: numbers, captured };
      this.#nics = new Map(
        (view?.ports ?? []).flatMap(({ interfaceId, ofport }) =>
          interfaceId === undefined || ofport === undefined ? [] : [[interfaceId, ofport] as const],
        ),
      );
      this.#problem = failed[0];
      if (failed.length === 0) this.#realized = kept;
    } catch (error) {
      this.#basis = undefined;
      this.#problem = error instanceof Error ? error.message : String(error);
    }
    return "done";
  }

  /** What was counted, by the number of the port. Nothing where the bridge can't be asked. */
  async counters(nics: ReadonlyMap<number, number>, only?: number): Promise<ReadonlyMap<number, PortCounters>> {
    if (!this.#isConnected) return new Map();
    try {
      return (await this.#flows?.counters(nics, only)) ?? new Map();
    } catch {
      return new Map();
    }
  }

  /** Sends a frame out by a port. Whether it left nobody tells; `false` where there is no connection. */
  sendFrame(port: number, frame: Buffer): boolean {
    if (!this.#isConnected) return false;
    this.#flows?.sendFrame(port, frame);
    return true;
  }

  close(): void {
    this.#flows?.close();
  }

  async #connect({ openFlow }: DesiredBridge): Promise<BridgeFlows | undefined> {
    if (this.#isConnected) return this.#flows;
    const { tls, timeoutMs, generation, onClose, onPacket } = this.#options;
    const flows = await BridgeFlows.connect(
      { remote: openFlow, timeoutMs, onClose, onPacket, ...(tls === undefined ? {} : { tls }) },
      BigInt(generation),
    );
    if (flows === undefined) return undefined;
    // What was read back over another connection says nothing: Open vSwitch may have been started again in between, with an empty table.
    this.#realized = undefined;
    this.#nics = new Map();
    this.#flows = flows;
    return flows;
  }

  get #isConnected(): boolean {
    return this.#flows?.isConnected === true;
  }
}
