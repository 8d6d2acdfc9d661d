import { readFileSync } from "node:fs";
import { VdcError } from "../error/vdc-error.ts";
import type { Json } from "../schema/json.ts";
import { JsonRpcLink, type LinkLimits } from "./json-rpc-link.ts";
import { takeProcessLock } from "./process-lock.ts";
import { listenUnix } from "./unix-server.ts";

/** What a host runtime tells a data-plane process through its environment. */
export interface DataPlaneEnvironment {
  readonly processId: string;
  /** `<datacenter uid>/<host id>/<process id>`. */
  readonly owner: string;
  readonly controlSocket: string;
  /** What `ensureProcess` was given as the module's `config`. */
  readonly config: Json;
}

/** Names of the environment variables of a supervised process. */
export const dataPlaneVariables = {
  owner: "VDC_OWNER",
  processId: "VDC_PROCESS_ID",
  controlSocket: "VDC_CONTROL_SOCKET",
  configFile: "VDC_CONFIG_FILE",
} as const;

/**
 * What this process was started with by its host runtime. Throws `FAILED_PRECONDITION` in a process that no host runtime started.
 */
export function dataPlaneEnvironment(env: NodeJS.ProcessEnv = process.env): DataPlaneEnvironment {
  const read = (name: string): string => {
    const value = env[name];
    if (value === undefined) {
      throw new VdcError("FAILED_PRECONDITION", `'${name}' is not set: this module is started by a host runtime`, {
        reason: "VDC_NOT_SUPERVISED",
      });
    }
    return value;
  };
  return {
    processId: read(dataPlaneVariables.processId),
    owner: read(dataPlaneVariables.owner),
    controlSocket: read(dataPlaneVariables.controlSocket),
    config: JSON.parse(readFileSync(read(dataPlaneVariables.configFile), "utf8")) as Json,
  };
}

/** What surrounds a call of a data plane's method. */
export interface DataPlaneCall {
  /** Aborts when the caller cancels or is gone. */
  readonly signal: AbortSignal;
}

/** A method of a data plane: one JSON value in, one out. It throws a `VdcError` for what the caller should be able to tell apart. */
export type DataPlaneMethod = (params: Json, call: DataPlaneCall) => Json | undefined | Promise<Json | undefined>;

/** Options of {@link serveDataPlane}. */
export interface ServeDataPlaneOptions extends LinkLimits {
  /** The methods by name. They are reachable at once, so prepare everything before. */
  readonly methods: Readonly<Record<string, DataPlaneMethod>>;
  /** Called once on SIGTERM, SIGINT or {@link DataPlane.close}: ends the data plane in order. The process exits when it has resolved. */
  readonly stop?: () => void | Promise<void>;
  /** Where to listen. Defaults to what the host runtime says. */
  readonly controlSocket?: string;
  /** How long `stop` may take, in milliseconds, before the process exits all the same. Defaults to 10_000. */
  readonly stopTimeoutMs?: number;
  /** Whether SIGTERM and SIGINT stop it and end the process. Defaults to true; a test that serves in its own process says false. */
  readonly handleSignals?: boolean;
}

/** A served data plane. */
export interface DataPlane extends AsyncDisposable {
  readonly controlSocket: string;
  /** Stops it, without ending the process. */
  close(): Promise<void>;
}

/**
 * Serves the control protocol of a data-plane process: JSON-RPC on a Unix socket of mode 0600, where the host runtime relays
 * `request`. The last thing that a data plane's entry module does: from then on the process counts as ready.
 *
 * Rejects with `ALREADY_EXISTS` when another instance answers on the same socket: a data plane never runs twice.
 *
 * @example
 * ```ts
 * const { config } = dataPlaneEnvironment();
 * const server = await openServer(config);
 * await serveDataPlane({
 *   methods: { status: () => ({ clients: server.clients }) },
 *   stop: () => server.close(),
 * });
 * ```
 */
export async function serveDataPlane(options: ServeDataPlaneOptions): Promise<DataPlane> {
  const path = options.controlSocket ?? dataPlaneEnvironment().controlSocket;
  const methods = new Map(Object.entries(options.methods));
  // Two instances that find the same dead socket would otherwise each replace it.
  const lock = await takeProcessLock(`data plane ${path}`);
  const server = await listenUnix(path, (socket) => {
    const link = new JsonRpcLink(socket, options);
    link.handleAny(async (name, params, signal) => {
      const method = methods.get(name);
      if (method === undefined) {
        throw new VdcError("UNIMPLEMENTED", `this data plane has no method '${name}'`, {
          reason: "VDC_NO_SUCH_METHOD",
        });
      }
      return method((params[0] ?? null) as Json, { signal });
    });
  }).catch(async (error) => {
    await lock.release();
    throw error;
  });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      process.off("SIGTERM", onSignal);
      process.off("SIGINT", onSignal);
      try {
        await options.stop?.();
      } finally {
        await server.close();
        await lock.release();
      }
    })();
    return closing;
  };
  const onSignal = (): void => {
    const timer = setTimeout(() => process.exit(1), options.stopTimeoutMs ?? 10_000);
    timer.unref();
    close().then(
      () => process.exit(0),
      (error) => {
        process.stderr.write(`the data plane did not stop in order: ${String(error)}\n`);
        process.exit(1);
      },
    );
  };
  if (options.handleSignals ?? true) {
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  }
  return { controlSocket: path, close, [Symbol.asyncDispose]: close };
}
