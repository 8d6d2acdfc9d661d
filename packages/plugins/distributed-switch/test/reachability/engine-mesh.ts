import { isDeepStrictEqual } from "node:util";
import { LENGTH_PREFIX_BYTES, recordOf } from "../../src/dataplane/ethernet-frame.ts";
import { SwitchEngine } from "../../src/dataplane/switch-engine.ts";
import type { PortSettings, SwitchPort } from "../../src/dataplane/switch-port.ts";
import { expectBalance, nic, nicText } from "../engine-bench.ts";
import { EngineTunnels } from "../engine-tunnels.ts";
import type { MatrixSubject, Probe, ProbeArrival } from "./matrix-subject.ts";
import type { MatrixConfig, MatrixPort } from "./reachability-oracle.ts";
import { probeFrame, readProbe } from "./truth-table.ts";

export interface EngineMeshOptions {
  readonly hosts: number;
  /** The switch's private VLANs, as every host is told. */
  readonly privateVlans: readonly { readonly primary: number; readonly secondary: number }[];
}

/** Several hosts' engines with tunnels that are function calls, changed as the control side changes data planes. */
export class EngineMesh implements MatrixSubject {
  readonly #tunnels = new EngineTunnels((a, b) =>
    this.#config.cut.some(([low, high]) => low === Math.min(a, b) && high === Math.max(a, b)),
  );
  readonly #ports = new Map<number, SwitchPort>();
  #config: MatrixConfig = { ports: [], cut: [] };
  #arrived: ProbeArrival[] = [];

  constructor({ hosts, privateVlans }: EngineMeshOptions) {
    for (let host = 0; host < hosts; host += 1) {
      const engine = new SwitchEngine({ now: () => 0, tunnel: this.#tunnels.sink(host) });
      engine.directory.setPrivateVlans(privateVlans);
      this.#tunnels.engines.push(engine);
    }
  }

  async apply(next: MatrixConfig): Promise<void> {
    const before = this.#config;
    this.#config = next;
    for (const [index, port] of next.ports.entries()) this.#changePort(index, before.ports[index], port);
    for (const [a, b] of next.cut) {
      if (before.cut.some((pair) => isDeepStrictEqual(pair, [a, b]))) continue;
      this.#tunnels.engines[a]?.removePeer(`h${b}`);
      this.#tunnels.engines[b]?.removePeer(`h${a}`);
    }
    this.#arrived = [];
  }

  async exchange(probes: readonly Probe[]): Promise<readonly ProbeArrival[]> {
    this.#arrived = [];
    for (const probe of probes) {
      const port = this.#ports.get(probe.from);
      const host = this.#config.ports[probe.from]?.host;
      const engine = host === undefined ? undefined : this.#tunnels.engines[host];
      if (port === undefined || engine === undefined || !port.linkUp) continue;
      const record = recordOf(probeFrame(probe, nic));
      engine.receiveFromPort(port, record, LENGTH_PREFIX_BYTES, record.length);
    }
    for (const engine of this.#tunnels.engines) engine.flush();
    return this.#arrived;
  }

  async checkCounters(): Promise<void> {
    for (const port of this.#ports.values()) expectBalance(port);
  }

  #changePort(index: number, before: MatrixPort | undefined, port: MatrixPort): void {
    const settings: PortSettings = { macAddress: nicText(index), vlan: port.vlan, blocked: port.blocked };
    let existing = this.#ports.get(index);
    if (existing !== undefined && before?.host !== undefined && before.host !== port.host) {
      this.#tunnels.engines[before.host]?.removePort(existing);
      this.#ports.delete(index);
      existing = undefined;
    }
    if (port.host === undefined) return;
    const engine = this.#tunnels.engines[port.host];
    if (engine === undefined) return;
    const moved = existing === undefined;
    if (existing === undefined) {
      existing = engine.addPort(`p${index}`, settings, {
        deliver: (buffer, start, end) => {
          this.#arrived.push(readProbe(index, buffer.subarray(start, end)));
          return undefined;
        },
        flush: () => undefined,
      });
      this.#ports.set(index, existing);
    } else if (!isDeepStrictEqual(existing.settings, settings)) engine.configurePort(existing, settings);
    existing.linkUp = port.up;
    if (existing.gate !== port.gate) {
      // What was held was sent under another configuration: no row of this table.
      engine.discard(existing);
      engine.setGate(existing, port.gate);
    }
    if (!moved) return;
    // The control side has every other host forget where the port was.
    for (const other of this.#tunnels.engines) {
      for (let host = 0; host < this.#tunnels.engines.length; host += 1) {
        if (host !== port.host) other.forgetAtPeer(`h${host}`, nic(index));
      }
    }
    engine.announce(existing);
  }
}
