import { setImmediate as turn } from "node:timers/promises";
import type { DataPlanePortConfig } from "../../src/dataplane/data-plane-config.ts";
import type { DataPlanePortStatistics } from "../../src/dataplane/data-plane-status.ts";
import { parseMac } from "../../src/dataplane/mac-address.ts";
import { Fabric, type Host } from "../fabric.ts";
import type { FakeNic } from "../fake-nic.ts";
import type { MatrixSubject, Probe, ProbeArrival } from "./matrix-subject.ts";
import type { MatrixConfig } from "./reachability-oracle.ts";
import { probeFrame, readProbe } from "./truth-table.ts";

export interface DataPlaneMeshOptions {
  readonly hosts: number;
  readonly ports: number;
  readonly privateVlans: readonly { readonly primary: number; readonly secondary: number }[];
}

/** How long frames may take to get where they go. */
const SETTLE_MS = 60_000;

/** Whole data planes: NICs on Unix sockets, VXLAN over loopback. */
export class DataPlaneMesh implements MatrixSubject, AsyncDisposable {
  readonly #fabric: Fabric;
  readonly #hosts: readonly Host[];
  readonly #nics: readonly FakeNic[];
  #config: MatrixConfig = { ports: [], cut: [] };

  private constructor(fabric: Fabric, hosts: readonly Host[], nics: readonly FakeNic[]) {
    this.#fabric = fabric;
    this.#hosts = hosts;
    this.#nics = nics;
  }

  static async start({ hosts: hostCount, ports, privateVlans }: DataPlaneMeshOptions): Promise<DataPlaneMesh> {
    const fabric = await Fabric.create();
    try {
      const hosts: Host[] = [];
      for (let host = 0; host < hostCount; host += 1) hosts.push(await fabric.host());
      for (const host of hosts) host.switchConfig = { privateVlans };
      const nics: FakeNic[] = [];
      for (let port = 0; port < ports; port += 1) nics.push(await fabric.nic());
      return new DataPlaneMesh(fabric, hosts, nics);
    } catch (error) {
      await fabric[Symbol.asyncDispose]();
      throw error;
    }
  }

  async apply(next: MatrixConfig): Promise<void> {
    const before = this.#config;
    this.#config = next;
    // A port that moves leaves its old host before it comes to the new one: there is one socket.
    for (const [number, host] of this.#hosts.entries()) {
      host.ports = host.ports.filter(({ key }) => next.ports[portNumber(key)]?.host === number);
      await host.apply();
    }
    for (const [number, host] of this.#hosts.entries()) {
      host.peers = this.#peersOf(number);
      host.ports = next.ports.flatMap((port, index) => (port.host === number ? [this.#portConfig(index)] : []));
      await host.apply();
      await host.untilPorts((ports) =>
        ports.every(({ key, link }) => (link === "up") === next.ports[portNumber(key)]?.up),
      );
    }
    for (const [index, { host, gate, up }] of next.ports.entries()) {
      const plane = host === undefined ? undefined : this.#hosts[host]?.plane;
      if (plane === undefined) continue;
      if (before.ports[index]?.gate !== gate) {
        // What was held was sent under another configuration: no row of this table.
        await plane.discard(`p${index}`);
        await plane.setGate(`p${index}`, gate);
      }
      if (up) await this.#nics[index]?.until(({ connected }) => connected);
    }
    await this.#settle();
  }

  async exchange(probes: readonly Probe[]): Promise<readonly ProbeArrival[]> {
    const before = await this.#statistics();
    for (const nic of this.#nics) nic.frames.length = 0;
    const sent = new Map<string, number>();
    for (const probe of probes) {
      const port = this.#config.ports[probe.from];
      if (port?.host === undefined || !port.up) continue;
      this.#nics[probe.from]?.send(probeFrame(probe, (index) => parseMac(this.#nics[index]?.mac ?? "") ?? 0));
      sent.set(`p${probe.from}`, (sent.get(`p${probe.from}`) ?? 0) + 1);
    }
    await this.#until("the frames were taken in", async () => {
      const now = await this.#statistics();
      return [...sent].every(([key, count]) => now.get(key)?.in.frames === (before.get(key)?.in.frames ?? 0) + count);
    });
    await this.#settle();
    const after = await this.#statistics();
    return (
      await Promise.all(
        this.#nics.map(async (nic, index) => {
          const count = (after.get(`p${index}`)?.out.frames ?? 0) - (before.get(`p${index}`)?.out.frames ?? 0);
          await nic.until(({ frames }) => frames.length >= count);
          return nic.frames.map((bytes) => readProbe(index, bytes));
        }),
      )
    ).flat();
  }

  async checkCounters(): Promise<void> {
    for (const { key, in: inward, forwarded, held } of (await this.#statistics()).values()) {
      if (inward.frames !== forwarded + held + inward.dropped) throw new Error(`the counters of '${key}' don't add up`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fabric[Symbol.asyncDispose]();
  }

  /** Waits until no tunnel has a frame on its way: what one end sent, the other has received. */
  async #settle(): Promise<void> {
    await this.#until("the tunnels were quiet", async () => {
      const peers = await Promise.all(
        this.#hosts.map(async ({ plane }) => (await plane.status()).switches[0]?.peers ?? []),
      );
      return peers.every((list, from) =>
        list.every(({ peer, out }) => {
          const received = peers[hostNumber(peer)]?.find((each) => hostNumber(each.peer) === from);
          return received === undefined || received.in.frames === out.frames;
        }),
      );
    });
  }

  async #until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + SETTLE_MS;
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error(`it took more than ${SETTLE_MS} ms until ${what}`);
      await turn();
    }
  }

  async #statistics(): Promise<Map<string, DataPlanePortStatistics>> {
    const lists = await Promise.all(this.#hosts.map(({ plane }) => plane.portStatistics()));
    return new Map(lists.flat().map((each) => [each.key, each]));
  }

  #portConfig(index: number): DataPlanePortConfig {
    const port = this.#config.ports[index];
    const nic = this.#nics[index];
    if (port === undefined || nic === undefined) throw new RangeError(`there is no port ${index}`);
    return {
      key: `p${index}`,
      ...(port.up ? { socketPath: nic.path } : {}),
      settings: { macAddress: nic.mac, vlan: port.vlan, blocked: port.blocked },
      initialGate: port.gate,
    };
  }

  /** The other hosts that aren't cut off; none of them may send from the address of a port that it doesn't have. */
  #peersOf(number: number): Host["peers"] {
    return this.#hosts.flatMap((other, index) => {
      const isCut = this.#config.cut.some(([a, b]) => a === Math.min(number, index) && b === Math.max(number, index));
      if (index === number || isCut) return [];
      const refuses = this.#nics.flatMap(({ mac }, port) => (this.#config.ports[port]?.host === index ? [] : [mac]));
      return [{ key: `host-${index}`, ...other.listenOn, refuses }];
    });
  }
}

function portNumber(key: string): number {
  return Number(key.slice(1));
}

function hostNumber(peer: string): number {
  return Number(peer.slice("host-".length));
}
