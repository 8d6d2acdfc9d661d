import type { Socket } from "node:net";
import type { DataPlanePortConfig } from "../../src/dataplane/data-plane-config.ts";
import { median, type Report } from "@vdc-os/testing";
import { DataPlaneClient } from "../load/data-plane-client.ts";
import { frameRecord, macText } from "../load/frames.ts";
import { StreamNics } from "../load/stream-nics.ts";

export interface FrameCostOptions {
  readonly rounds: number;
  readonly quick: boolean;
  readonly report: Report;
}

const burstFrames = 32;
const frameOctets = 1514;

/** What one NIC sends at once, to one destination or to many. */
interface Burst {
  readonly from: number;
  readonly records: Buffer;
}

interface SceneOptions {
  /** Defaults to `1`. */
  readonly switches?: number;
  /** Of each switch. */
  readonly ports: number;
  readonly settings?: (index: number) => Partial<DataPlanePortConfig["settings"]>;
}

/** A data plane with ports, and what is sent through it again and again. */
class Scene implements AsyncDisposable {
  readonly plane: DataPlaneClient;
  readonly #nics: StreamNics;
  #next = 0;

  private constructor(plane: DataPlaneClient, nics: StreamNics) {
    this.plane = plane;
    this.#nics = nics;
  }

  /** Ports whose addresses are `macText(index)`, the same number in each of some switches; `settings` adds to those of one. */
  static async open({ switches = 1, ports, settings }: SceneOptions): Promise<Scene> {
    const nics = await StreamNics.listen(switches * ports);
    const plane = DataPlaneClient.start();
    await plane.applyAndConnect({
      generation: 1,
      switches: Array.from({ length: switches }, (_, number) => ({
        key: `bench-${number}`,
        vniBase: 4096 * (number + 1),
        peers: [],
        ports: Array.from({ length: ports }, (_, place) => {
          const index = number * ports + place;
          return {
            key: `port-${index}`,
            socketPath: nics.path(index),
            settings: { macAddress: macText(index), vlan: { kind: "access", id: 7 }, ...settings?.(index) },
          };
        }),
      })),
    });
    return new Scene(plane, nics);
  }

  /** Sends bursts in turn, each after the one before it has arrived, so that every run has batches of the same size whatever else the machine does. */
  async send(bursts: readonly Burst[], count: number): Promise<void> {
    const sockets = new Map<number, Socket>();
    for (const { from } of bursts) sockets.set(from, await this.#nics.socket(from));
    for (let sent = 0; sent < count; sent++) {
      const { from, records } = bursts[this.#next++ % bursts.length] as Burst;
      const arrived = this.#nics.receive(records.length);
      sockets.get(from)?.write(records);
      await arrived;
    }
  }

  /** Processor time of the data plane for a frame, in microseconds. */
  async cost(bursts: readonly Burst[], count: number): Promise<number> {
    const before = await this.plane.cpuMicroseconds();
    await this.send(bursts, count);
    return ((await this.plane.cpuMicroseconds()) - before) / (count * burstFrames);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.plane[Symbol.asyncDispose]();
    await this.#nics[Symbol.asyncDispose]();
  }
}

function burst(from: number, address: (frame: number) => { readonly to: string; readonly source: string }): Burst {
  const frames = Array.from({ length: burstFrames }, (_, frame) => {
    const { to, source } = address(frame);
    return frameRecord(to, source, frameOctets);
  });
  return { from, records: Buffer.concat(frames) };
}

/** Bursts between each even port and the odd one after it, both ways. */
function pairs(count: number): Burst[] {
  return Array.from({ length: count }, (_, from) => {
    const to = from % 2 === 0 ? from + 1 : from - 1;
    return burst(from, () => ({ to: macText(to), source: macText(from) }));
  });
}

/** Has two scenes take turns, and reports the second's cost over the first's. */
async function compare(
  name: string,
  { rounds, quick, report }: FrameCostOptions,
  few: { readonly scene: Scene; readonly bursts: readonly Burst[] },
  many: { readonly scene: Scene; readonly bursts: readonly Burst[]; readonly bound: number | undefined },
): Promise<void> {
  const bursts = quick ? 500 : 3000;
  // Compilers warm up, on all paths.
  for (const { scene, bursts: load } of [few, many]) await scene.send(load, Math.max(1000, load.length));
  const costs: { readonly few: number; readonly many: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const inTurn = [few, many];
    if (round % 2 === 1) inTurn.reverse();
    const seen = new Map<unknown, number>();
    for (const side of inTurn) seen.set(side, await side.scene.cost(side.bursts, bursts));
    costs.push({ few: seen.get(few) as number, many: seen.get(many) as number });
  }
  report({
    name,
    bound: many.bound === undefined ? "shown" : { atMost: many.bound },
    ratios: costs.map((cost) => cost.many / cost.few),
    detail: `${median(costs.map((cost) => cost.many)).toFixed(2)} against ${median(costs.map((cost) => cost.few)).toFixed(2)} us a frame of ${frameOctets} octets`,
  });
}

/** Processor time for a frame with 2 ports and with 1,000. */
export async function acrossPorts(options: FrameCostOptions): Promise<void> {
  await using two = await Scene.open({ ports: 2 });
  await using thousand = await Scene.open({ ports: 1000 });
  const few = { scene: two, bursts: pairs(2) };
  await compare("CPU a frame: 1,000 ports, two of them talk, over 2", options, few, {
    scene: thousand,
    bursts: pairs(2),
    bound: 1.3,
  });
  await compare("CPU a frame: 1,000 ports, all talk, over 2", options, few, {
    scene: thousand,
    bursts: pairs(1000),
    bound: undefined,
  });
}

/** Processor time for a frame with 10 learned addresses and with 100,000, in two switches: one switch learns 65,536 at most. */
export async function acrossAddresses(options: FrameCostOptions): Promise<void> {
  const open = (): Promise<Scene> =>
    Scene.open({
      switches: 2,
      ports: 2,
      settings: (index) =>
        index % 2 === 0
          ? { security: { forgedTransmits: true }, macLearning: { enabled: true, limit: 1_000_000 } }
          : {},
    });
  await using ten = await open();
  await using many = await open();
  const few = { scene: ten, bursts: stations(10) };
  await compare("CPU a frame: 100,000 learned addresses over 10", options, few, {
    scene: many,
    bursts: stations(100_000),
    bound: 1.3,
  });
  const { switches } = await many.plane.status();
  const learned = switches.reduce((sum, { learnedAddresses }) => sum + learnedAddresses, 0);
  if (learned < 100_000) throw new Error(`only ${learned} addresses were learned`);
}

/** Stations behind the first port of either switch talk to its second, in turn and one frame each, and it to them. */
function stations(count: number): Burst[] {
  const bursts: Burst[] = [];
  for (let first = 0; first < count / 2; first += burstFrames) {
    for (const learning of [0, 2]) {
      const plain = learning + 1;
      // Neighbours in a table would be neighbours in a cache: the order is that of a multiplicative hash.
      const station = (frame: number): string =>
        macText((((first + frame) % (count / 2)) * 40503) % 0x1000000, 1 + learning);
      bursts.push(burst(learning, (frame) => ({ to: macText(plain), source: station(frame) })));
      bursts.push(burst(plain, (frame) => ({ to: station(frame), source: macText(plain) })));
    }
  }
  return bursts;
}
