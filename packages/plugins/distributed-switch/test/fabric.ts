import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DataPlane, type DataPlaneOptions } from "../src/dataplane/control.ts";
import type {
  DataPlaneConfig,
  DataPlanePortConfig,
  DataPlaneSwitchConfig,
} from "../src/dataplane/data-plane-config.ts";
import type { DataPlanePortStatus } from "../src/dataplane/data-plane-status.ts";
import type { PortSettings } from "../src/dataplane/switch-port.ts";
import type { UdpAddress } from "../src/dataplane/vxlan-endpoint.ts";
import { FakeNic } from "./fake-nic.ts";

export const SWITCH: string = "switch-a";
export const VNI_BASE: number = 4096;

/** Everything a test of data planes makes, and takes down again. */
export class Fabric implements AsyncDisposable {
  readonly directory: string;
  readonly #stack = new AsyncDisposableStack();
  #nics = 0;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(): Promise<Fabric> {
    const directory = await mkdtemp(join(tmpdir(), "vdc-switch-"));
    const fabric = new Fabric(directory);
    fabric.#stack.defer(() => rm(directory, { recursive: true, force: true }));
    return fabric;
  }

  async nic(): Promise<FakeNic> {
    this.#nics += 1;
    const index = this.#nics;
    const mac = `52:54:00:00:01:${index.toString(16).padStart(2, "0")}`;
    return this.#stack.use(await FakeNic.listen(join(this.directory, `nic${index}.sock`), mac));
  }

  /** A host with a VTEP on a free port of 127.0.0.1. */
  async host(options: DataPlaneOptions = {}): Promise<Host> {
    const host = new Host(options);
    this.#stack.defer(() => host.plane.close());
    await host.listen();
    return host;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** A data plane with the configuration that it was last given, so that a test can change one thing of it. */
export class Host {
  readonly plane: DataPlane;
  listenOn: UdpAddress = { address: "127.0.0.1", port: 0 };
  generation = 0;
  ports: DataPlanePortConfig[] = [];
  peers: { key: string; address: string; port: number }[] = [];
  limits: DataPlaneConfig["limits"];
  switchConfig: Partial<DataPlaneSwitchConfig> = {};
  readonly #waiting = new Set<() => void>();

  constructor(options: DataPlaneOptions) {
    this.plane = new DataPlane({
      redialMs: 5,
      redialLargestMs: 20,
      ...options,
      onLink: (status: DataPlanePortStatus) => {
        options.onLink?.(status);
        for (const resolve of this.#waiting) resolve();
        this.#waiting.clear();
      },
    });
  }

  async listen(): Promise<void> {
    await this.apply();
    const { vtep } = await this.plane.status();
    if (vtep !== undefined) this.listenOn = vtep.listen;
    await this.apply();
  }

  port(key: string, nic: FakeNic, settings: Partial<PortSettings> = {}): DataPlanePortConfig {
    const port: DataPlanePortConfig = {
      key,
      socketPath: nic.path,
      settings: { macAddress: nic.mac, vlan: { kind: "none" }, ...settings },
    };
    const known = this.ports.some((each) => each.key === key);
    this.ports = known ? this.ports.map((each) => (each.key === key ? port : each)) : [...this.ports, port];
    return port;
  }

  /** Applies what the fields say, as the next generation. */
  async apply(): Promise<void> {
    this.generation += 1;
    await this.plane.apply({
      generation: this.generation,
      vtep: { listen: this.listenOn, underlayMtu: 65535 },
      ...(this.limits === undefined ? {} : { limits: this.limits }),
      switches: [{ key: SWITCH, vniBase: VNI_BASE, peers: this.peers, ports: this.ports, ...this.switchConfig }],
    });
  }

  /** Applies, and resolves when every port with a socket is up. */
  async applyAndConnect(): Promise<void> {
    await this.apply();
    await this.untilPorts((ports) => ports.every(({ link }) => link === "up"));
  }

  async untilPorts(condition: (ports: readonly DataPlanePortStatus[]) => boolean): Promise<void> {
    for (;;) {
      const changed = new Promise<void>((resolve) => this.#waiting.add(resolve));
      if (condition((await this.plane.status()).ports)) return;
      await changed;
    }
  }
}

/** Makes each host a peer of every other. */
export function mesh(hosts: readonly Host[]): void {
  for (const host of hosts) {
    host.peers = hosts.flatMap((other, index) => (other === host ? [] : [{ key: `host-${index}`, ...other.listenOn }]));
  }
}
