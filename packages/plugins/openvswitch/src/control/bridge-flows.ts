import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import {
  addFlow,
  type ConnectOpenFlowOptions,
  connectOpenFlow,
  deleteFlow,
  encodeInstructions,
  encodeMatch,
  type Flow,
  type FlowStats,
  type InstalledFlow,
  type Meter,
  meterMod,
  type OpenFlowClient,
  OpenFlowError,
} from "@vdc-os/openflow";
import { dropCodes, meterIds, tables } from "../pipeline/tables.ts";
import { noCounters, type PortCounters } from "./records.ts";

/** Options of {@link BridgeFlows.connect}. */
export interface BridgeFlowsOptions extends ConnectOpenFlowOptions {
  /** Called once, when the connection has ended. */
  readonly onClose?: () => void;
}

/** The part of a cookie that names what a flow says; the part above it is the number of the change that brought it. */
const contentBits = 48n;
const contentMask = (1n << contentBits) - 1n;

/**
 * The flows of one bridge over one connection. A flow's cookie is made from all that it says, so that reading cookies back tells whether the bridge holds what
 * it should. Calls run one after another: whoever calls sees to that.
 */
export class BridgeFlows {
  readonly #client: OpenFlowClient;
  /** By content. Undefined while it is not known what the bridge holds. */
  #installed: Map<bigint, InstalledFlow> | undefined;
  #meters: ReadonlyMap<number, Meter> = new Map();
  #wanted: ReadonlyMap<bigint, Flow> = new Map();
  #change = Math.floor(Math.random() * 0xffff);

  private constructor(client: OpenFlowClient) {
    this.#client = client;
  }

  /** Connects, and becomes the one that may change the bridge. Undefined where a manager of a higher generation has done so. */
  static async connect(options: BridgeFlowsOptions, generation: bigint): Promise<BridgeFlows | undefined> {
    const client = await connectOpenFlow(options);
    void client.closed.then(options.onClose);
    try {
      if (await client.becomeMaster(generation)) return new BridgeFlows(client);
    } catch (error) {
      client.close();
      throw error;
    }
    client.close();
    return undefined;
  }

  get isConnected(): boolean {
    return this.#client.isOpen;
  }

  close(): void {
    this.#client.close();
  }

  /** Sends a frame out by a port of the bridge, whatever its flows say. */
  sendFrame(port: number, frame: Buffer): void {
    this.#client.sendFrame(port, frame);
  }

  /** Forgets what the bridge holds: the next `sync` reads all of it. */
  distrust(): void {
    this.#installed = undefined;
  }

  /** Makes the bridge hold these flows and meters and no others, and reads back that it does. Returns how many flows were written. */
  async sync(flows: readonly Flow[], meters: readonly Meter[]): Promise<number> {
    const wanted = new Map(flows.map((flow) => [contentOf(flow), flow]));
    this.#wanted = wanted;
    if (this.#installed === undefined) await this.#readAll();
    const written = await this.#write(wanted, meters);
    if (this.#holds(wanted)) return written;
    // Somebody else has been there: what is there really is read, and put right once.
    await this.#readAll();
    const again = await this.#write(wanted, meters);
    if (!this.#holds(wanted)) {
      this.#installed = undefined;
      throw new OpenFlowError("OPENFLOW_REFUSED", "the bridge does not hold the flows that it has accepted");
    }
    return written + again;
  }

  /** What was counted, by the number of the port. `framesOut` and `bytesOut` are those of the NICs that there are now. */
  async counters(nics: ReadonlyMap<number, number>, only?: number): Promise<ReadonlyMap<number, PortCounters>> {
    const { reg0, reg3 } = only === undefined ? { reg0: [], reg3: [] } : registers(only);
    const verdicts = await this.#client.flows({ table: tables.verdict, match: reg0 });
    const unknown = await this.#client.flows({ table: tables.unknown, match: reg0 });
    const out = await this.#client.flows({ table: tables.droppedOut, match: reg3 });
    // Meters come last: what they have dropped is never more than what was accepted before.
    const meters = this.#meters.size === 0 ? [] : await this.#client.meterStats();
    const ports = await this.#client.portStats();
    const tally = new Tally();
    for (const stats of [...verdicts, ...unknown, ...out]) {
      const flow = this.#wanted.get(stats.cookie & contentMask);
      if (flow !== undefined) tally.addFlow(flow, stats);
    }
    for (const { id, dropped } of meters) tally.addMeter(id, dropped);
    const byPort = new Map(ports.map((port) => [port.port, port]));
    for (const [number, nic] of nics) {
      const port = byPort.get(nic);
      if (port !== undefined) tally.addPort(number, port.framesOut, port.octetsOut);
    }
    return tally.result();
  }

  async #readAll(): Promise<void> {
    const found = await this.#client.flows();
    this.#installed = new Map();
    for (const flow of found) this.#installed.set(this.#keyOf(flow), flow);
  }

  /** Flows that are not ours, and copies of ours, must not hide behind one of ours. */
  #keyOf({ cookie, table, priority, match }: InstalledFlow): bigint {
    const content = cookie & contentMask;
    const flow = this.#wanted.get(content);
    const isOurs = flow?.table === table && flow.priority === priority;
    if (isOurs) return content;
    const text = `${cookie}/${table}/${priority}/${match.toString("latin1")}`;
    return (1n << contentBits) | hash48(Buffer.from(text, "latin1"));
  }

  async #write(wanted: ReadonlyMap<bigint, Flow>, meters: readonly Meter[]): Promise<number> {
    const installed = this.#installed ?? new Map<bigint, InstalledFlow>();
    this.#change = (this.#change + 1) % 0x1_0000;
    const change = BigInt(this.#change) << contentBits;
    // What a flow leads to is there before the flow, and goes after it.
    const added = [...wanted].filter(([content]) => !installed.has(content)).sort(([, a], [, b]) => b.table - a.table);
    const gone = [...installed].filter(([key]) => !wanted.has(key)).sort(([, a], [, b]) => a.table - b.table);
    const metersBefore = this.#meters;
    const metersNow = new Map(meters.map((meter) => [meter.id, meter]));
    const newMeters = meters.filter(({ id }) => !metersBefore.has(id));
    const changedMeters = meters.filter((meter) => {
      const before = metersBefore.get(meter.id);
      return before !== undefined && !isDeepStrictEqual(before, meter);
    });
    const oldMeters = [...metersBefore.values()].filter(({ id }) => !metersNow.has(id));
    const messages = [
      // One that an earlier manager left is replaced.
      ...newMeters.flatMap((meter) => [meterMod("delete", meter), meterMod("add", meter)]),
      ...changedMeters.map((meter) => meterMod("modify", meter)),
      ...added.map(([content, flow]) => addFlow(flow, change | content)),
      ...gone.map(([, flow]) => deleteFlow(flow)),
      ...oldMeters.map((meter) => meterMod("delete", meter)),
    ];
    if (messages.length === 0) return 0;
    this.#installed = undefined;
    const [refused] = await this.#client.modify(messages);
    if (refused !== undefined) {
      const { refusal: details } = refused;
      throw new OpenFlowError("OPENFLOW_REFUSED", `the bridge refuses a flow or meter: ${details.name}`, { details });
    }
    this.#meters = metersNow;
    const read =
      added.length === 0 ? [] : await this.#client.flows({ cookie: change, cookieMask: 0xffffn << contentBits });
    for (const [key] of gone) installed.delete(key);
    for (const flow of read) installed.set(this.#keyOf(flow), flow);
    this.#installed = installed;
    return added.length + gone.length;
  }

  #holds(wanted: ReadonlyMap<bigint, Flow>): boolean {
    if (this.#installed?.size !== wanted.size) return false;
    for (const content of wanted.keys()) if (!this.#installed.has(content)) return false;
    return true;
  }
}

/** Counters of ports, put together from flows, meters and OpenFlow's ports. */
class Tally {
  readonly #ports = new Map<number, { -readonly [name in keyof PortCounters]: PortCounters[name] }>();
  readonly #numbersOfMeters = new Map<number, bigint>();

  addFlow({ table, match }: Flow, { frames, octets }: FlowStats): void {
    const [first, second] = match;
    const counters = this.#of(Number(first?.value ?? 0n));
    if (table === tables.droppedOut) {
      counters.dropsOut = more(counters.dropsOut, "filtered", frames);
      return;
    }
    if (table === tables.unknown) {
      counters.framesForwarded = String(BigInt(counters.framesForwarded) - frames);
      counters.dropsIn = more(counters.dropsIn, "noDestination", frames);
      return;
    }
    counters.framesIn = String(BigInt(counters.framesIn) + frames);
    counters.bytesIn = String(BigInt(counters.bytesIn) + octets);
    const code = Number(second?.value ?? 0n);
    if (code === 0) counters.framesForwarded = String(BigInt(counters.framesForwarded) + frames);
    else counters.dropsIn = more(counters.dropsIn, reasonByCode.get(code) ?? "other", frames);
  }

  addMeter(id: number, dropped: bigint): void {
    const number = meterIds.bits(Math.floor(id / 2)) / 2;
    this.#numbersOfMeters.set(number, (this.#numbersOfMeters.get(number) ?? 0n) + dropped);
  }

  addPort(number: number, frames: bigint, octets: bigint): void {
    const counters = this.#of(number);
    counters.framesOut = String(frames);
    counters.bytesOut = String(octets);
  }

  result(): ReadonlyMap<number, PortCounters> {
    for (const counters of this.#ports.values()) {
      // Verdicts are read before what is for nobody.
      if (BigInt(counters.framesForwarded) < 0n) counters.framesForwarded = "0";
    }
    for (const [number, dropped] of this.#numbersOfMeters) {
      const counters = this.#of(number);
      // Flows are counted a moment after meters are.
      const forwarded = BigInt(counters.framesForwarded);
      const shaped = dropped < forwarded ? dropped : forwarded;
      counters.framesForwarded = String(forwarded - shaped);
      counters.dropsIn = more(counters.dropsIn, "shaped", shaped);
    }
    return this.#ports;
  }

  #of(number: number): { -readonly [name in keyof PortCounters]: PortCounters[name] } {
    const known = this.#ports.get(number);
    if (known !== undefined) return known;
    const fresh = { ...noCounters };
    this.#ports.set(number, fresh);
    return fresh;
  }
}

const reasonByCode = new Map<number, string>(Object.entries(dropCodes).map(([reason, code]) => [code, reason]));

function more(
  drops: Readonly<Record<string, string>>,
  reason: string,
  frames: bigint,
): Readonly<Record<string, string>> {
  const sum = BigInt(drops[reason] ?? "0") + frames;
  return sum === 0n ? drops : { ...drops, [reason]: String(sum) };
}

function registers(number: number) {
  const value = BigInt(number);
  return { reg0: [{ field: "reg0", value }], reg3: [{ field: "reg3", value }] } as const;
}

/** What a flow says, in 48 bits. */
export function contentOf(flow: Flow): bigint {
  const head = Buffer.from([flow.table, flow.priority >> 8, flow.priority & 0xff]);
  return hash48(Buffer.concat([head, encodeMatch(flow.match), encodeInstructions(flow)]));
}

function hash48(bytes: Buffer): bigint {
  return BigInt(`0x${createHash("sha1").update(bytes).digest("hex").slice(0, 12)}`);
}
