import type { MacAddress } from "../../dataplane/mac-address.ts";
import type { WireClock } from "../wire-clock.ts";
import { WireError } from "../wire-error.ts";
import { encodeLldp, type LldpAdvertisement, MAX_TTL_SECONDS } from "./lldp-frame.ts";
import { decodeLldp } from "./lldp-reader.ts";
import { type LldpNeighbour, NeighbourTable } from "./neighbour-table.ts";

/** An uplink that LLDP runs on. */
export interface LldpPort {
  readonly key: string;
  readonly macAddress: MacAddress;
  /** What it advertises. The time to live is the agent's. */
  readonly advertisement: Omit<LldpAdvertisement, "ttlSeconds">;
}

export interface LldpAgentOptions {
  readonly clock: WireClock;
  readonly operation: "listen" | "advertise" | "both";
  /** Sends a frame out of an uplink, untagged. */
  readonly transmit: (portKey: string, frame: Buffer) => void;
  /** Called after an uplink's neighbours changed. */
  readonly onChange?: ((portKey: string) => void) | undefined;
  /** msgTxInterval. Defaults to `30_000`. */
  readonly intervalMs?: number | undefined;
  /** msgTxHold: for how many intervals it is to be believed. Defaults to `4`. */
  readonly hold?: number | undefined;
  readonly limitPerPort?: number | undefined;
}

export interface LldpAgentStatistics {
  readonly sent: number;
  readonly received: number;
  /** Frames that broke the format. */
  readonly malformed: number;
  /** Frames of neighbours beyond the limit. */
  readonly tooMany: number;
}

/** After a neighbour came, this many more are sent a second apart, so that it needn't wait (txFastInit, msgFastTx). */
const FAST_SENDS = 4;
const FAST_INTERVAL_MS = 1000;

/**
 * LLDP (IEEE 802.1AB-2016) on a host's uplinks: advertises at intervals, and keeps what others advertise until its time is over. Stopping
 * withdraws what was advertised. The host's switch gives it the LLDP frames of its uplinks; no frame from a VM may come here.
 */
export class LldpAgent {
  readonly #options: LldpAgentOptions;
  readonly #table: NeighbourTable;
  readonly #ports = new Map<string, LldpPort>();
  #cancel: (() => void) | undefined;
  #fast = 0;
  #running = false;
  #sent = 0;
  #received = 0;
  #malformed = 0;

  constructor(options: LldpAgentOptions) {
    this.#options = options;
    this.#table = new NeighbourTable(options);
  }

  get running(): boolean {
    return this.#running;
  }

  /** Replaces the uplinks. One that goes is withdrawn; one that comes or changes is advertised at once. */
  configure(ports: readonly LldpPort[]): void {
    const wanted = new Map(ports.map((port) => [port.key, port]));
    for (const [key, port] of this.#ports) {
      const next = wanted.get(key);
      if (next === undefined || !sameIds(port, next)) this.#withdraw(port);
      if (next !== undefined) continue;
      this.#ports.delete(key);
      this.#table.forget(key);
    }
    for (const port of ports) {
      const before = this.#ports.get(port.key);
      this.#ports.set(port.key, port);
      if (JSON.stringify(before) !== JSON.stringify(port)) this.#advertise(port);
    }
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#tick();
  }

  /** Withdraws what was advertised and forgets what was heard. */
  stop(): void {
    if (!this.#running) return;
    for (const port of this.#ports.values()) this.#withdraw(port);
    this.#running = false;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#table.clear();
  }

  /** Takes an LLDP frame that came in by an uplink. Never throws. */
  receive(portKey: string, frame: Buffer): void {
    if (!this.#running || this.#options.operation === "advertise" || !this.#ports.has(portKey)) return;
    this.#received += 1;
    let advertisement: LldpAdvertisement;
    try {
      advertisement = decodeLldp(frame);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#malformed += 1;
      return;
    }
    if (!this.#table.hear(portKey, advertisement) || this.#options.operation === "listen") return;
    const slow = this.#fast === 0;
    this.#fast = FAST_SENDS;
    if (slow) this.#plan();
  }

  neighbours(): LldpNeighbour[] {
    return this.#table.neighbours();
  }

  statistics(): LldpAgentStatistics {
    return {
      sent: this.#sent,
      received: this.#received,
      malformed: this.#malformed,
      tooMany: this.#table.refused,
    };
  }

  #tick(): void {
    for (const port of this.#ports.values()) this.#advertise(port);
    if (this.#fast > 0) this.#fast -= 1;
    this.#plan();
  }

  #plan(): void {
    this.#cancel?.();
    if (this.#options.operation === "listen") return;
    const interval = this.#options.intervalMs ?? 30_000;
    const wait = this.#fast > 0 ? Math.min(FAST_INTERVAL_MS, interval) : interval;
    this.#cancel = this.#options.clock.schedule(wait, () => this.#tick());
  }

  #advertise(port: LldpPort): void {
    const { intervalMs = 30_000, hold = 4 } = this.#options;
    // txTTL of 9.2.5.22.
    this.#send(port, Math.min(MAX_TTL_SECONDS, Math.ceil((intervalMs * hold) / 1000) + 1));
  }

  #withdraw(port: LldpPort): void {
    this.#send(port, 0);
  }

  #send(port: LldpPort, ttlSeconds: number): void {
    if (!this.#running || this.#options.operation === "listen") return;
    this.#sent += 1;
    this.#options.transmit(port.key, encodeLldp({ ...port.advertisement, ttlSeconds }, port.macAddress));
  }
}

function sameIds(a: LldpPort, b: LldpPort): boolean {
  const ids = ({ advertisement }: LldpPort): string => JSON.stringify([advertisement.chassisId, advertisement.portId]);
  return ids(a) === ids(b);
}
