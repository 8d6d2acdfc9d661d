import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Description, type Json, type OperationContext, VdcError, type WatchItem } from "@vdc-os/core";
import type { EnsureProcess, HostInventory, HostRuntime, ProcessStatus } from "@vdc-os/core/host/v1";
import { connectDataPlane, dataPlaneVariables } from "@vdc-os/core/remote";

/** Plays a host's runtime, with the switch process in a real process that is started again whenever it ends. */
export class SpawnedHost implements HostRuntime, AsyncDisposable {
  readonly host: string;
  readonly directory: string;
  #wanted: EnsureProcess | undefined;
  #child: ChildProcess | undefined;
  #closed = false;

  constructor(host: string, directory: string) {
    this.host = host;
    this.directory = join(directory, host);
  }

  async describe(): Promise<Description> {
    return { implementation: { name: "spawned", version: "1", simulated: true }, facets: {}, attributes: {} };
  }

  async inventory(): Promise<HostInventory> {
    const { host, directory } = this;
    await mkdir(join(directory, "run"), { recursive: true });
    return { hostId: host, bootId: "1", address: "127.0.0.1", failureDomain: host, cpus: 1, memoryBytes: 1, directory };
  }

  async ensureProcess(input: EnsureProcess): Promise<ProcessStatus> {
    if (this.#closed) throw new VdcError("UNAVAILABLE", `host '${this.host}' is gone`);
    if (this.#wanted === undefined) {
      this.#wanted = input;
      await writeFile(join(this.directory, "config.json"), JSON.stringify((input.program as { config: Json }).config));
      this.#start(input);
    }
    for (const giveUp = Date.now() + 60_000; ; ) {
      const link = await connectDataPlane(this.#socket).catch(() => undefined);
      await link?.close();
      if (link !== undefined) return this.#status(input);
      if (Date.now() > giveUp) throw new VdcError("UNAVAILABLE", "the process does not answer");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async removeProcess(): Promise<void> {
    this.#wanted = undefined;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  }

  async listProcesses(): Promise<readonly ProcessStatus[]> {
    return this.#wanted === undefined ? [] : [this.#status(this.#wanted)];
  }

  async *watchProcesses(): AsyncGenerator<WatchItem<ProcessStatus>> {}

  async *readLog(): AsyncGenerator<{ readonly offset: number; readonly text: string }> {}

  async request({ method, params }: { method: string; params: Json }, { signal }: OperationContext): Promise<Json> {
    await using link = await connectDataPlane(this.#socket, { signal });
    return await link.request(method, params, { signal });
  }

  /** Ends the process with a signal, as nobody expects. */
  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.removeProcess();
  }

  get #socket(): string {
    return join(this.directory, "run", "c.ctl");
  }

  #start(input: EnsureProcess): void {
    const child = spawn(process.execPath, [fileURLToPath((input.program as { module: string }).module)], {
      stdio: ["ignore", "ignore", "inherit"],
      env: {
        PATH: process.env.PATH,
        [dataPlaneVariables.owner]: `${input.owner.datacenter}/${this.host}/${input.processId}`,
        [dataPlaneVariables.processId]: input.processId,
        [dataPlaneVariables.controlSocket]: this.#socket,
        [dataPlaneVariables.configFile]: join(this.directory, "config.json"),
      },
    });
    child.on("exit", () => {
      if (this.#wanted !== undefined) this.#start(this.#wanted);
    });
    this.#child = child;
  }

  #status({ processId, owner }: EnsureProcess): ProcessStatus {
    return { processId, owner, state: "running", restarts: 0 };
  }
}
