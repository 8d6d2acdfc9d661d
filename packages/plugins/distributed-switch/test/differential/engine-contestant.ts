import { LENGTH_PREFIX_BYTES, recordOf } from "../../src/dataplane/ethernet-frame.ts";
import type { MirrorSession } from "../../src/dataplane/mirror-session.ts";
import { SwitchEngine } from "../../src/dataplane/switch-engine.ts";
import type { PortSettings, SwitchPort } from "../../src/dataplane/switch-port.ts";
import { EngineTunnels } from "../engine-tunnels.ts";
import type { CaseConfig, CaseFrame, CasePort, Contestant } from "./switch-case.ts";

export interface EngineContestantOptions {
  /** Over how many hosts the switch goes; port 4 of a switch over three hosts is on host 1. Defaults to `1`. */
  readonly hosts?: number;
  /** What each port has instead of a bridge's settings. */
  readonly settings?: Partial<PortSettings>;
}

/** The embedded switch's engine, with every port told to behave as a bridge's: it learns, and takes frames from any address. */
export class EngineContestant implements Contestant {
  readonly name: string;
  readonly #hosts: number;
  readonly #settings: Partial<PortSettings>;
  #tunnels = new EngineTunnels();
  #ports: readonly SwitchPort[] = [];
  #left: Buffer[][] = [];
  #now = 0;

  constructor({ hosts = 1, settings = {} }: EngineContestantOptions = {}) {
    this.name = hosts === 1 ? "our engine" : `our engine on ${hosts} hosts`;
    this.#hosts = hosts;
    this.#settings = settings;
  }

  async configure(config: CaseConfig): Promise<void> {
    this.#tunnels = new EngineTunnels();
    const { engines } = this.#tunnels;
    for (let host = 0; host < this.#hosts; host += 1) {
      const engine = new SwitchEngine({ now: () => this.#now, tunnel: this.#tunnels.sink(host) });
      engine.snooping.enabled = config.snooping;
      engines.push(engine);
    }
    this.#left = config.ports.map(() => []);
    this.#ports = config.ports.map((each, index) => {
      const left = this.#left[index] ?? [];
      const port = this.#engineOf(index).addPort(
        `p${index}`,
        { ...bridgePort(each, index), ...this.#settings },
        {
          deliver: (buffer, start, end) => {
            left.push(Buffer.from(buffer.subarray(start, end)));
            return undefined;
          },
          flush: () => undefined,
        },
      );
      port.linkUp = true;
      return port;
    });
    for (const engine of engines) engine.directory.setMirrors(mirrorSessions(config));
  }

  async exchange(frames: readonly CaseFrame[]): Promise<Buffer[][]> {
    for (const { port: index, bytes, pauseMs } of frames) {
      const port = this.#ports[index];
      if (port === undefined) continue;
      const record = recordOf(bytes);
      this.#engineOf(index).receiveFromPort(port, record, LENGTH_PREFIX_BYTES, record.length);
      // An engine looks at its clock once between two flushes.
      for (const engine of this.#tunnels.engines) engine.flush();
      this.#now += pauseMs;
    }
    return this.#left.map((left) => left.splice(0));
  }

  #engineOf(index: number): SwitchEngine {
    const engine = this.#tunnels.engines[index % this.#hosts];
    if (engine === undefined) throw new RangeError(`there is no host for port ${index}`);
    return engine;
  }
}

/** A port that behaves as a bridge's. Its own address is one that no frame of a case has. */
export function bridgePort({ vlan, blocked }: CasePort, index: number): PortSettings {
  return {
    macAddress: `52:54:00:ff:ff:${index.toString(16).padStart(2, "0")}`,
    vlan,
    blocked,
    security: { promiscuous: false, forgedTransmits: true, macChanges: false },
    macLearning: { enabled: true, limit: 4096 },
  };
}

/** The mirror sessions of a case. */
export function mirrorSessions({ mirror }: CaseConfig): readonly MirrorSession[] {
  if (mirror === undefined) return [];
  const { sources, direction, destination, snapLength } = mirror;
  return [
    {
      name: "mirror",
      sourcePorts: sources.map((source) => `p${source}`),
      direction,
      snapLength,
      destination: { kind: "port", portKey: `p${destination}` },
    },
  ];
}
