import { setImmediate as turn } from "node:timers/promises";
import { Fabric, type Host } from "../fabric.ts";
import type { FakeNic } from "../fake-nic.ts";
import { bridgePort, mirrorSessions } from "./engine-contestant.ts";
import type { CaseConfig, CaseFrame, Contestant } from "./switch-case.ts";

/** The embedded switch's whole data plane, with NICs on Unix sockets. */
export class DataPlaneContestant implements Contestant, AsyncDisposable {
  readonly name = "our data plane";
  readonly #fabric: Fabric;
  readonly #host: Host;
  readonly #nics: readonly FakeNic[];
  #cases = 0;

  private constructor(fabric: Fabric, host: Host, nics: readonly FakeNic[]) {
    this.#fabric = fabric;
    this.#host = host;
    this.#nics = nics;
  }

  static async start(ports: number): Promise<DataPlaneContestant> {
    const fabric = await Fabric.create();
    try {
      const nics: FakeNic[] = [];
      for (let index = 0; index < ports; index += 1) nics.push(await fabric.nic());
      return new DataPlaneContestant(fabric, await fabric.host(), nics);
    } catch (error) {
      await fabric[Symbol.asyncDispose]();
      throw error;
    }
  }

  async configure(config: CaseConfig): Promise<void> {
    this.#cases += 1;
    const connections = this.#nics.map((nic) => nic.connections);
    // Another `vniBase` makes the switch anew: it has learned nothing then.
    this.#host.switchConfig = { vniBase: 4096 * (1 + (this.#cases % 2)), mirrors: mirrorSessions(config) };
    for (const [index, port] of config.ports.entries()) {
      const nic = this.#nics[index];
      if (nic !== undefined) this.#host.port(`p${index}`, nic, bridgePort(port, index));
    }
    await this.#host.applyAndConnect();
    await Promise.all(
      this.#nics.map((nic, index) => nic.until((each) => each.connections > (connections[index] ?? 0))),
    );
    for (const nic of this.#nics) nic.frames.length = 0;
  }

  async exchange(frames: readonly CaseFrame[]): Promise<Buffer[][]> {
    const sent = new Map<number, number>();
    for (const { port, bytes } of frames) {
      const count = (sent.get(port) ?? (await this.#statistics(port)).in.frames) + 1;
      sent.set(port, count);
      this.#nics[port]?.send(bytes);
      while ((await this.#statistics(port)).in.frames < count) await turn();
    }
    return Promise.all(
      this.#nics.map(async (nic, index) => {
        const { out } = await this.#statistics(index);
        await nic.until((each) => each.frames.length >= out.frames);
        return nic.frames.splice(0);
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fabric[Symbol.asyncDispose]();
  }

  async #statistics(
    index: number,
  ): Promise<{ readonly in: { readonly frames: number }; readonly out: { readonly frames: number } }> {
    const [statistics] = await this.#host.plane.portStatistics([`p${index}`]);
    if (statistics === undefined) throw new Error(`there is no port 'p${index}'`);
    return statistics;
  }
}
