import { LENGTH_PREFIX_BYTES, recordOf } from "../../src/dataplane/ethernet-frame.ts";
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
    const { mirror } = config;
    this.#engine.directory.setMirrors(
      mirror === undefined
        ? []
        : [
            {
              name: "mirror",
              sourcePorts: mirror.sources.map((source) => `p${source}`),
              direction: mirror.direction,
              destination: { kind: "port", portKey: `p${mirror.destination}` },
            },
          ],
    );
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
