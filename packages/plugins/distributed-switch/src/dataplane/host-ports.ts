import { isDeepStrictEqual } from "node:util";
import type { DataPlanePortConfig } from "./data-plane-config.ts";
import type { DataPlaneLimits } from "./data-plane-limits.ts";
import type { DataPlanePortStatistics, DataPlanePortStatus } from "./data-plane-status.ts";
import { type FrameLink, type FrameLinkHandlers, type InterfaceLinks, noInterfaceLinks } from "./frame-link.ts";
import { StreamPort, type StreamSettings } from "./stream-port.ts";
import type { SwitchEngine } from "./switch-engine.ts";
import type { FrameSink, Gate, SwitchPort } from "./switch-port.ts";

export interface HostPortsOptions {
  readonly switchKey: string;
  readonly engine: SwitchEngine;
  readonly stream: StreamSettings;
  /** What bounds the queues of a port that is made now. */
  readonly limits: () => DataPlaneLimits;
  readonly interfaces?: InterfaceLinks | undefined;
  /** Called when a port's link comes up or goes down. */
  readonly onLink: (status: DataPlanePortStatus) => void;
  /** Called before a port is taken out. */
  readonly onRemove: (port: SwitchPort) => void;
  /** Gets what a port has counted that is gone: nothing passes it any more. */
  readonly onRemoved: (statistics: DataPlanePortStatistics) => void;
}

interface HostPort {
  config: DataPlanePortConfig;
  readonly port: SwitchPort;
  link: FrameLink | undefined;
  /** Whether others wait to be told that the port's address is here: its gate was opened before its NIC was there. */
  unannounced: boolean;
}

/** A switch's ports on this host: each a port of the engine with the stream socket, or the interface, of its NIC. */
export class HostPorts {
  readonly #options: HostPortsOptions;
  readonly #ports = new Map<string, HostPort>();

  constructor(options: HostPortsOptions) {
    this.#options = options;
  }

  has(key: string): boolean {
    return this.#ports.has(key);
  }

  find(key: string): SwitchPort | undefined {
    return this.#ports.get(key)?.port;
  }

  /** Throws a `RangeError` when there is none. */
  get(key: string): SwitchPort {
    return this.#entry(key).port;
  }

  /** Removes the ports that are not wanted; the promises are of their sockets. */
  removeExcept(wanted: readonly DataPlanePortConfig[]): Promise<void>[] {
    const kept = new Set(wanted.map(({ key }) => key));
    const closing: Promise<void>[] = [];
    for (const [key, { port, link }] of this.#ports) {
      if (kept.has(key)) continue;
      this.#options.onRemove(port);
      this.#ports.delete(key);
      this.#options.engine.removePort(port);
      this.#options.onRemoved({ key, ...port.statistics() });
      if (link !== undefined) closing.push(link.close());
    }
    return closing;
  }

  async configure(config: DataPlanePortConfig): Promise<void> {
    const { engine } = this.#options;
    const existing = this.#ports.get(config.key);
    if (existing === undefined) {
      this.#add(config);
      return;
    }
    const before = existing.config;
    existing.config = config;
    if (!isDeepStrictEqual(before.settings, config.settings)) engine.configurePort(existing.port, config.settings);
    if (before.socketPath !== config.socketPath || before.interfaceName !== config.interfaceName) {
      const old = existing.link;
      existing.link = undefined;
      existing.port.linkUp = false;
      await old?.close();
      this.#dial(existing);
    }
  }

  /** Sets a gate. From `drop` to `open` tells everybody that the port's address is here, as soon as its link is up. */
  setGate(key: string, gate: Gate): void {
    const entry = this.#entry(key);
    const { port } = entry;
    const opens = port.gate === "drop" && gate === "open";
    this.#options.engine.setGate(port, gate);
    if (opens && port.linkUp) this.#options.engine.announce(port);
    entry.unannounced = gate === "open" && (entry.unannounced || opens) && !port.linkUp;
  }

  statuses(): DataPlanePortStatus[] {
    return [...this.#ports.values()].map((entry) => this.#status(entry));
  }

  statistics(): DataPlanePortStatistics[] {
    return [...this.#ports.values()].map(({ port }) => ({ key: port.key, ...port.statistics() }));
  }

  #add(config: DataPlanePortConfig): void {
    const { engine } = this.#options;
    const sink: FrameSink = {
      deliver: (buffer, start, end) => (entry.link === undefined ? "linkDown" : entry.link.deliver(buffer, start, end)),
      flush: () => entry.link?.flush(),
    };
    const port = engine.addPort(config.key, config.settings, sink);
    const entry: HostPort = { config, port, link: undefined, unannounced: false };
    this.#ports.set(config.key, entry);
    engine.setGate(port, config.initialGate ?? "open");
    this.#dial(entry);
  }

  #dial(entry: HostPort): void {
    const { port, config } = entry;
    const { engine, onLink } = this.#options;
    const link = this.#link(config, {
      onFrame: (buffer, start, end) => engine.receiveFromPort(port, buffer, start, end),
      onTooLong: (length) => {
        port.in.frame(length);
        port.in.drop("tooLong");
      },
      onBatchEnd: () => engine.flush(),
      onLink: (up) => {
        if (entry.link !== link || this.#ports.get(port.key) !== entry) return;
        port.linkUp = up;
        if (up && entry.unannounced) {
          entry.unannounced = false;
          engine.announce(port);
          engine.flush();
        }
        onLink(this.#status(entry));
      },
    });
    entry.link = link;
    link?.dial();
  }

  #link({ socketPath, interfaceName }: DataPlanePortConfig, handlers: FrameLinkHandlers): FrameLink | undefined {
    const { stream, limits, interfaces = noInterfaceLinks } = this.#options;
    if (socketPath !== undefined) {
      return new StreamPort({ ...stream, ...handlers, path: socketPath, queueBytes: limits().portQueueBytes });
    }
    return interfaceName === undefined ? undefined : interfaces(interfaceName, handlers);
  }

  #status({ port, link }: HostPort): DataPlanePortStatus {
    const reason = link === undefined ? "no socket is configured" : link.reason;
    return {
      key: port.key,
      switch: this.#options.switchKey,
      link: port.linkUp ? "up" : "down",
      ...(port.linkUp || reason === undefined ? {} : { reason }),
      gate: port.gate,
      held: port.held.size,
      ...(this.#options.engine.isLooped(port) ? { looped: true } : {}),
      dials: link?.dials ?? 0,
    };
  }

  #entry(key: string): HostPort {
    const entry = this.#ports.get(key);
    if (entry === undefined) throw new RangeError(`no port '${key}'`);
    return entry;
  }
}
