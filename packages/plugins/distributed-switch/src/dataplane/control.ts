import { isIP } from "node:net";
import { isDeepStrictEqual } from "node:util";
import {
  type DataPlaneConfig,
  type DataPlaneSwitchConfig,
  parseDataPlaneConfig,
  type VtepConfig,
} from "./data-plane-config.ts";
import { type DataPlaneLimits, defaultLimits } from "./data-plane-limits.ts";
import { DataPlaneError } from "./data-plane-error.ts";
import type { DataPlanePortStatistics, DataPlanePortStatus, DataPlaneStatus } from "./data-plane-status.ts";
import { HostSwitch } from "./host-switch.ts";
import type { HostSwitchOptions } from "./host-switch-options.ts";
import { PortTools } from "./port-tools.ts";
import { QueueMemory } from "./queue-memory.ts";
import { splitVni } from "./segment.ts";
import type { Gate } from "./switch-port.ts";
import { VxlanEndpoint } from "./vxlan-endpoint.ts";

export interface DataPlaneOptions extends Omit<HostSwitchOptions, "config" | "now" | "endpoint" | "memory" | "onLink"> {
  /** A monotonic clock in milliseconds. Defaults to `performance.now`. */
  readonly now?: () => number;
  /** What holds where a configuration says nothing of it. Defaults to `defaultLimits`. */
  readonly limits?: Partial<DataPlaneLimits>;
  /** Called when a port's link comes up or goes down. */
  readonly onLink?: (status: DataPlanePortStatus) => void;
}

/** What a call on a gate left. */
export interface GateStatus {
  readonly gate: Gate;
  /** Frames that the gate keeps back now. */
  readonly held: number;
  /** Frames that this call let out or dropped. */
  readonly moved: number;
}

/**
 * A host's data plane: all its switches, their ports and one tunnel endpoint. What goes in and out is plain data, so that each method
 * can be called across a process boundary. Every method is safe to repeat except `release` and `discard` with a count.
 */
export class DataPlane {
  /** Explains, captures, reads back and moves ports. */
  readonly tools: PortTools;
  readonly #options: DataPlaneOptions;
  readonly #switches = new Map<string, HostSwitch>();
  readonly #byVniBase = new Map<number, HostSwitch>();
  readonly #memory = new QueueMemory(defaultLimits.queueBytes);
  #endpoint: VxlanEndpoint | undefined;
  #config: DataPlaneConfig | undefined;
  #closed = false;
  /** Applies run one after another, in the order of the calls. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DataPlaneOptions = {}) {
    this.#options = options;
    this.tools = new PortTools({
      port: (portKey) => {
        for (const each of this.#switches.values()) {
          const uplink = each.uplink(portKey);
          if (uplink !== undefined) return { engine: each.engine, port: uplink };
        }
        const host = this.#switchOf(portKey);
        return { engine: host.engine, port: host.port(portKey) };
      },
      host: (switchKey) => {
        const host = this.#switches.get(switchKey);
        if (host !== undefined) return host;
        throw new DataPlaneError("NOT_FOUND", `there is no switch '${switchKey}' in this data plane`);
      },
      now: options.now ?? (() => performance.now()),
    });
  }

  /**
   * Makes the data plane what `config` says. Ports whose configuration is unchanged keep their connection, gate and counters; a changed
   * setting doesn't bounce a port either, only another socket path does. A switch whose `vniBase` or `macAgeingMs` changes is made anew, ports
   * and counters included. Either all is taken over or, when this rejects, nothing.
   */
  apply(config: DataPlaneConfig, options: { readonly signal?: AbortSignal } = {}): Promise<{ generation: number }> {
    const applied = this.#last.then(async () => {
      if (this.#closed) throw new DataPlaneError("CANCELLED", "the data plane is closed");
      if (options.signal?.aborted === true) throw new DataPlaneError("CANCELLED", "the apply was cancelled");
      await this.#apply(config);
      return { generation: config.generation };
    });
    this.#last = applied.catch(() => undefined);
    return applied;
  }

  /** The state now. Success of an apply is to be read here: its generation, and no port down. */
  async status(): Promise<DataPlaneStatus> {
    const endpoint = this.#endpoint;
    const switches = [...this.#switches.values()];
    return {
      generation: this.#config?.generation ?? 0,
      ...(endpoint === undefined ? {} : { vtep: { listen: endpoint.listen, ...endpoint.statistics() } }),
      switches: switches.map((each) => each.status()),
      ports: switches.flatMap((each) => each.portStatuses()),
    };
  }

  /**
   * Sets a port's gate. To `open` lets out what was held, in order, and from `drop` announces the port's address to every host; to
   * `drop` discards what was held. Rejects with `NOT_FOUND`.
   */
  async setGate(portKey: string, gate: Gate): Promise<GateStatus> {
    if (gate !== "open" && gate !== "hold" && gate !== "drop") {
      throw new DataPlaneError("INVALID_ARGUMENT", `port '${portKey}': '${String(gate)}' is no gate`);
    }
    return this.#switchOf(portKey).setGate(portKey, gate);
  }

  /** Tells everybody that the port's address is here, if it is: to take back what another host said. Rejects with `NOT_FOUND`. */
  async announce(portKey: string): Promise<void> {
    this.#switchOf(portKey).announce(portKey);
  }

  /** Lets out the oldest `count` held frames, or all, without opening the gate. Rejects with `NOT_FOUND`. */
  async release(portKey: string, count?: number): Promise<GateStatus> {
    return this.#switchOf(portKey).release(portKey, checkCount(count));
  }

  /** Drops the oldest `count` held frames, or all. Rejects with `NOT_FOUND`. */
  async discard(portKey: string, count?: number): Promise<GateStatus> {
    return this.#switchOf(portKey).discard(portKey, checkCount(count));
  }

  /** The counters of all ports, or of those named; keys that are no port's are left out. */
  async portStatistics(keys?: readonly string[]): Promise<DataPlanePortStatistics[]> {
    const wanted = keys === undefined ? undefined : new Set(keys);
    return [...this.#switches.values()]
      .flatMap((each) => each.portStatistics())
      .filter(({ key }) => wanted === undefined || wanted.has(key));
  }

  /** Sends a frame of a switch's own to another host, or out of an uplink. Says why it does not leave. */
  sendControl(
    switchKey: string,
    way: { readonly peer: string; readonly vlan: number } | { readonly uplink: string },
    frame: Buffer,
  ): string | undefined {
    const host = this.#switches.get(switchKey);
    if (host === undefined) return "the switch is not here";
    if ("uplink" in way) return host.sendByUplink(way.uplink, frame) ? undefined : "the uplink has no link";
    return host.sendToPeer(way.peer, way.vlan, frame) ? undefined : "the host is no peer";
  }

  /** The uplinks of a switch, and which ports use each of them now. */
  uplinkUses(switchKey: string): ReturnType<HostSwitch["uplinkUses"]> {
    return this.#switches.get(switchKey)?.uplinkUses() ?? [];
  }

  /** Hangs up every port and closes the endpoint. VMs keep running; their frames wait for the next data plane or are lost. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
    await Promise.all([...this.#switches.values()].map((each) => each.close()));
    this.#switches.clear();
    this.#byVniBase.clear();
    await this.#endpoint?.close();
    this.#endpoint = undefined;
  }

  async #apply(input: DataPlaneConfig): Promise<void> {
    const parsed = parseDataPlaneConfig(input);
    if ("problems" in parsed) {
      const { problems } = parsed;
      const rest = problems.length > 10 ? `; and ${problems.length - 10} more` : "";
      throw new DataPlaneError(
        "INVALID_ARGUMENT",
        `the configuration is refused: ${problems.slice(0, 10).join("; ")}${rest}`,
        { details: problems.slice(0, 100) },
      );
    }
    const { config } = parsed;
    const realised = this.#config;
    if (realised !== undefined) {
      if (config.generation < realised.generation) {
        throw new DataPlaneError(
          "FAILED_PRECONDITION",
          `generation ${config.generation} is older than ${realised.generation}, which is realised`,
        );
      }
      if (isDeepStrictEqual(config, realised)) return;
      if (config.generation === realised.generation) {
        throw new DataPlaneError(
          "FAILED_PRECONDITION",
          `generation ${config.generation} is realised with another configuration`,
        );
      }
    }
    // The one step that can fail comes first.
    const replaced = await this.#listen(config.vtep);
    await this.#takeOver(config);
    this.#config = config;
    await replaced?.close();
  }

  /** Opens the endpoint that `vtep` wants, unless it is there. Returns the endpoint to close afterwards. */
  async #listen(vtep: VtepConfig | undefined): Promise<VxlanEndpoint | undefined> {
    const current = this.#endpoint;
    if (isDeepStrictEqual(vtep?.listen, this.#config?.vtep?.listen)) return undefined;
    // Port 0 was asked for, and now the port that it became.
    if (current !== undefined && isDeepStrictEqual(vtep?.listen, current.listen)) return undefined;
    if (vtep === undefined) {
      this.#endpoint = undefined;
      return current;
    }
    try {
      this.#endpoint = await VxlanEndpoint.open({
        listen: vtep.listen,
        receiver: (vni) => this.#byVniBase.get(splitVni(vni).vniBase)?.receiveDatagram,
        batchEnd: () => {
          for (const each of this.#switches.values()) each.flush();
        },
      });
    } catch (cause) {
      const { address, port } = vtep.listen;
      throw new DataPlaneError("UNAVAILABLE", `the tunnel endpoint can't listen on '${address}' port ${port}`, {
        cause,
      });
    }
    return current;
  }

  async #takeOver(config: DataPlaneConfig): Promise<void> {
    const { switches, vtep } = config;
    const underlay = {
      mtu: vtep?.underlayMtu ?? 1500,
      family: isIP(vtep?.listen.address ?? "") === 6 ? 6 : 4,
    } as const;
    const closing: Promise<void>[] = [];
    const byKey = new Map(switches.map((each) => [each.key, each]));
    for (const [key, existing] of this.#switches) {
      const wanted = byKey.get(key);
      if (wanted !== undefined && existing.canBecome(wanted)) continue;
      this.#switches.delete(key);
      this.#byVniBase.delete(existing.vniBase);
      closing.push(existing.close());
    }
    const limits = { ...defaultLimits, ...this.#options.limits, ...config.limits };
    this.#memory.limit = limits.queueBytes;
    const configured: { host: HostSwitch; config: DataPlaneSwitchConfig }[] = [];
    for (const each of switches) {
      let host = this.#switches.get(each.key);
      if (host === undefined) {
        host = this.#newSwitch(each);
        this.#switches.set(each.key, host);
        this.#byVniBase.set(each.vniBase, host);
      }
      host.setLimits(limits);
      configured.push({ host, config: each });
    }
    // A port that moves between switches hangs up in the one before it is dialled in the other.
    for (const each of configured) closing.push(...each.host.removeExcept(each.config));
    await Promise.all(closing);
    await Promise.all(configured.map((each) => each.host.configure(each.config, underlay)));
  }

  #newSwitch(config: DataPlaneSwitchConfig): HostSwitch {
    const { now = () => performance.now(), onLink, ...rest } = this.#options;
    return new HostSwitch({
      epochMs: this.#options.now === undefined ? performance.timeOrigin : 0,
      ...rest,
      config,
      now,
      memory: this.#memory,
      endpoint: () => this.#endpoint,
      onLink: (status) => onLink?.(status),
    });
  }

  #switchOf(portKey: string): HostSwitch {
    for (const each of this.#switches.values()) if (each.hasPort(portKey)) return each;
    throw new DataPlaneError("NOT_FOUND", `there is no port '${portKey}' in this data plane`);
  }
}

function checkCount(count: number | undefined): number | undefined {
  if (count === undefined || (Number.isSafeInteger(count) && count >= 0)) return count;
  throw new DataPlaneError("INVALID_ARGUMENT", `${count} is no number of frames`);
}
