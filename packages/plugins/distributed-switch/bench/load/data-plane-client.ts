import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { DataPlaneConfig } from "../../src/dataplane/data-plane-config.ts";
import type { DataPlaneStatus } from "../../src/dataplane/data-plane-status.ts";
import { eventually } from "../sandbox/readiness.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { DataPlaneAnswer, DataPlaneRequest } from "./data-plane-process.ts";

const script = fileURLToPath(new URL("data-plane-process.ts", import.meta.url));
/** `VDC_BENCH_NODE_OPTIONS=--cpu-prof` profiles the data planes. */
const nodeOptions = (process.env.VDC_BENCH_NODE_OPTIONS ?? "").split(" ").filter((option) => option !== "");
const nodeArgs = ["--disable-warning=ExperimentalWarning", "--expose-gc", ...nodeOptions];

/** A data plane that runs in a process of its own, as on a host. */
export class DataPlaneClient implements AsyncDisposable {
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts one in this process's namespace. */
  static start(): DataPlaneClient {
    return new DataPlaneClient(fork(script, { execArgv: nodeArgs }));
  }

  /** Starts one in a namespace of the sandbox. */
  static startIn(sandbox: Sandbox, namespace: string): DataPlaneClient {
    const { child } = sandbox.start(namespace, process.execPath, [...nodeArgs, script], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    return new DataPlaneClient(child);
  }

  /** Applies a configuration, and returns what that took. Rejects when it is refused. */
  async apply(config: DataPlaneConfig): Promise<{ readonly milliseconds: number; readonly cpuMicroseconds: number }> {
    return (await this.#ask({ apply: config }, "applied")).applied;
  }

  /** Applies, and waits until every port that has a socket or an interface is up. */
  async applyAndConnect(config: DataPlaneConfig): Promise<void> {
    await this.apply(config);
    const wanted = config.switches
      .flatMap(({ ports }) => ports)
      .filter(({ socketPath, interfaceName }) => socketPath !== undefined || interfaceName !== undefined);
    await eventually(async () => {
      const up = (await this.status()).ports.filter(({ link }) => link === "up").length;
      if (up !== wanted.length) throw new Error(`${up} of ${wanted.length} ports are up`);
    });
  }

  /** The processor time that it has taken so far, in microseconds. */
  async cpuMicroseconds(): Promise<number> {
    return (await this.#ask("cpu", "cpu")).cpu;
  }

  /** What it holds in its heap, without garbage, in bytes. Collecting takes processor time. */
  async heapBytes(): Promise<number> {
    return (await this.#ask("heap", "heap")).heap;
  }

  async status(): Promise<DataPlaneStatus> {
    return (await this.#ask("status", "status")).status;
  }

  /** One question at a time. */
  async #ask<Key extends string>(
    request: DataPlaneRequest,
    key: Key,
  ): Promise<Extract<DataPlaneAnswer, Record<Key, unknown>>> {
    const answered = once(this.#child, "message") as Promise<[DataPlaneAnswer]>;
    this.#child.send(request);
    const [answer] = await answered;
    if (!(key in answer))
      throw new Error(`the data plane: ${"failed" in answer ? answer.failed : JSON.stringify(answer)}`);
    return answer as Extract<DataPlaneAnswer, Record<Key, unknown>>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.disconnect();
    await exited;
  }
}
