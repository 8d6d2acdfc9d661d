import { LENGTH_PREFIX_BYTES, recordOf } from "../../src/dataplane/ethernet-frame.ts";
import type { MirrorSession } from "../../src/dataplane/mirror-session.ts";
import { SwitchEngine } from "../../src/dataplane/switch-engine.ts";
import type { PortSettings, SwitchPort } from "../../src/dataplane/switch-port.ts";
import type { CaseConfig, CaseFrame, CasePort, Contestant } from "./switch-case.ts";

/** The embedded switch's engine, with every port told to behave as a bridge's: it learns, and takes frames from any address. */
export class EngineContestant implements Contestant {
  readonly name = "ours";
  #ports: readonly SwitchPort[] = [];
  #left: Buffer[][] = [];
  #engine: SwitchEngine = new SwitchEngine({ now: () => 0 });
  readonly #settings: Partial<PortSettings>;

  /** With `settings` that each port has instead of a bridge's. */
  constructor(settings: Partial<PortSettings> = {}) {
    this.#settings = settings;
  }

  async configure(config: CaseConfig): Promise<void> {
    this.#engine = new SwitchEngine({ now: () => 0 });
    this.#left = config.ports.map(() => []);
    this.#ports = config.ports.map((each, index) => {
      const left = this.#left[index] ?? [];
      const port = this.#engine.addPort(
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
    this.#engine.directory.setMirrors(mirrorSessions(config));
  }

  async exchange(frames: readonly CaseFrame[]): Promise<Buffer[][]> {
    for (const { port: index, bytes } of frames) {
      const port = this.#ports[index];
      if (port === undefined) continue;
      const record = recordOf(bytes);
      this.#engine.receiveFromPort(port, record, LENGTH_PREFIX_BYTES, record.length);
    }
    this.#engine.flush();
    return this.#left.map((left) => left.splice(0));
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
  const { sources, direction, destination } = mirror;
  return [
    {
      name: "mirror",
      sourcePorts: sources.map((source) => `p${source}`),
      direction,
      destination: { kind: "port", portKey: `p${destination}` },
    },
  ];
}
