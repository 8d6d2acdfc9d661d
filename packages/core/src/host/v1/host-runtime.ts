import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { identifier, nothing, type OwnerStamp, ownerStamp } from "../../contract/ownership.ts";
import { type WatchItem, watchItemOf } from "../../contract/watch-item.ts";
import { describeOperation } from "../../extension-point/describe-operation.ts";
import type { DescribeInput, Description } from "../../extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../extension-point/extension-point.ts";
import { stream, unary, watch } from "../../extension-point/operation.ts";
import { type Json, json } from "../../schema/json.ts";
import { type Bytes, bytes, type Timestamp, timestamp } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";

/**
 * The environment variable that a host's plugin gives to each process that it starts by itself, a VM monitor for one: its value is the host's folder
 * ({@link HostInventory.directory}, absolute, without symbolic links). Such a process outlives the runtime, is the plugin's own to find again, and ends when the
 * host is removed.
 */
export const hostPluginProcessVariable = "VDC_HOST_PLUGIN_PROCESS";

/** What a host is and has. */
export interface HostInventory {
  /** Stable across restarts of the host. */
  readonly hostId: string;
  /** New at every boot of the host. */
  readonly bootId: string;
  /** Where other hosts reach its data planes. */
  readonly address: string;
  /** What fails together: hosts of one domain share a risk. */
  readonly failureDomain: string;
  readonly cpus: number;
  readonly memoryBytes: Bytes;
  /** The host's own folder, as an absolute path. Sockets of its data planes lie in `directory/run`. */
  readonly directory: string;
}

/** A data-plane process that a host must run: a storage server, a switch, a VM monitor. */
export interface EnsureProcess {
  /**
   * Unique on the host: 1 to 40 lower-case letters, digits, `.`, `_` and `-`, beginning with a letter or digit; sockets are named after it. Any such id is
   * a process's, and none means anything to the host. The same id and spec again changes nothing; another spec restarts it.
   */
  readonly processId: string;
  readonly owner: OwnerStamp;
  readonly program:
    | {
        /**
         * A module that serves the control protocol (`serveDataPlane` in `@vdc-os/core/remote`), by specifier or file URL, run by the host's Node.js. It is
         * told its id, its owner and its config, and no other's.
         */
        readonly kind: "module";
        readonly module: string;
        /** Handed to the module. Never a secret. */
        readonly config: Json;
      }
    | {
        readonly kind: "command";
        /** A program of the host, by path or as its `PATH` finds it. */
        readonly command: string;
        /** They reach it as they are: no shell sees them. */
        readonly args: readonly string[];
      };
  /** `always` starts it again when it ends, with back-off; `never` leaves it ended. Defaults to `always` for modules and `never` for commands. */
  readonly restart?: "always" | "never";
  /** How long it may take until it answers, in milliseconds. Defaults to 15000. */
  readonly readyTimeoutMs?: number;
}

/**
 * Where a process stands: `starting` until it answers, `running`, `backingOff` while it has ended and waits to be started again, and `exited` when
 * it has ended and stays so.
 */
export type ProcessState = "starting" | "running" | "backingOff" | "exited";

/** A supervised process as it is now. */
export interface ProcessStatus {
  readonly processId: string;
  readonly owner: OwnerStamp;
  readonly state: ProcessState;
  /** What the host's system calls it. Not there while it does not run. */
  readonly pid?: number;
  /** When it was started last. Not there while it does not run. */
  readonly startedAt?: Timestamp;
  /** How often it was started again after it had ended by itself, since this spec was asked for. */
  readonly restarts: number;
  /** The Unix socket of its control protocol, for modules. */
  readonly controlSocket?: string;
  /** How it last ended: `exit code 1`, `signal SIGKILL`. */
  readonly lastExit?: string;
}

/**
 * A host's runtime: one for each host. It supervises the host's data planes in processes of their own, which go on when the runtime
 * or the manager ends, and are adopted when it returns: with the same pid, and not as a restart. A process of a host is found again by its
 * record, and by the owner stamp in its environment when the record is lost, so that nothing leaks: what it started itself ends with it too,
 * whatever that did to leave it.
 */
export interface HostRuntime {
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  inventory(input: Readonly<Record<never, never>>, context: OperationContext): Promise<HostInventory>;
  /**
   * Runs a process, or finds that it runs. Resolves when it answers on its control socket (modules) or has started (commands).
   *
   * The same spec again changes nothing, also of a process that has ended for good: its status says `exited`. Another spec ends the old process, as
   * `removeProcess` does, before the new one starts. Never do two run for one id, whoever asks at once. What a caller gave up is absent, or on record
   * and goes on; asking again settles it.
   *
   * A process that ends is started again where its spec says `always`, after a pause that grows with each failure.
   *
   * Fails with `FAILED_PRECONDITION` when the program is not on the host or can't be started, when a process that is not started again ends
   * before it has answered, and when the id is another datacenter's (reason `VDC_PROCESS_OF_ANOTHER_OWNER`); with `UNAVAILABLE` when it is not
   * ready in `readyTimeoutMs`, and goes on being tried; with `ABORTED` when it is removed meanwhile; with `INVALID_ARGUMENT` for what no process can be given, such as a NUL in an
   * argument. An error of a process that did not become ready holds the end of what it wrote.
   */
  ensureProcess(input: EnsureProcess, context: OperationContext): Promise<ProcessStatus>;
  /**
   * Ends a process: SIGTERM, then SIGKILL after `graceMs` (default 5000). Resolves when it has ended, with everything that it started; then its id
   * is free, and its log is gone. Removing what is absent succeeds. A removal that its caller gave up goes on.
   */
  removeProcess(
    input: { readonly processId: string; readonly graceMs?: number },
    context: OperationContext,
  ): Promise<void>;
  /** The processes on record, also those that have ended, in the order of their ids. */
  listProcesses(
    input: { readonly ownerDatacenter?: string },
    context: OperationContext,
  ): Promise<readonly ProcessStatus[]>;
  /** Begins with each process as `added`; then tells the latest state of whatever changes. Who reads slowly is not told what was in between. */
  watchProcesses(
    input: Readonly<Record<never, never>>,
    context: OperationContext,
  ): AsyncIterable<WatchItem<ProcessStatus>>;
  /**
   * Calls a method of a process's control protocol. What the process fails with passes through, with code and reason; that a caller gives up
   * reaches the process. Fails with `NOT_FOUND` where there is no such process, `UNIMPLEMENTED` for a command and for a method that the process does not
   * have, and `UNAVAILABLE` for one that does not run, or ends meanwhile.
   */
  request(
    input: { readonly processId: string; readonly method: string; readonly params: Json },
    context: OperationContext,
  ): Promise<Json>;
  /**
   * What a process has written to its output and error output, from a byte offset on; with `follow`, also what it writes later, until it is removed.
   *
   * It comes in pieces of at most 65,536 bytes, which cut no character in two, and whoever reads slowly makes nobody hold more. A log goes on when its
   * process is started again, and when the runtime is. A host may forget a log that has grown long, and begin it anew: an offset beyond the end
   * is then read from the start.
   */
  readLog(
    input: { readonly processId: string; readonly offset?: Bytes; readonly follow?: boolean },
    context: OperationContext,
  ): AsyncIterable<{ readonly offset: Bytes; readonly text: string }>;
}

const empty = z.object({});
const processId = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,39}$/);

const processStatus = schemaOf<ProcessStatus>()(
  z.object({
    processId,
    owner: ownerStamp,
    state: z.enum(["starting", "running", "backingOff", "exited"]),
    pid: z.int().exactOptional(),
    startedAt: timestamp.exactOptional(),
    restarts: z.int().nonnegative(),
    controlSocket: z.string().exactOptional(),
    lastExit: z.string().exactOptional(),
  }),
);

const ensureProcess: z.ZodType<EnsureProcess> = z.object({
  processId,
  owner: ownerStamp,
  program: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("module"), module: z.string(), config: json }),
    z.object({ kind: z.literal("command"), command: z.string(), args: z.array(z.string()) }),
  ]),
  restart: z.enum(["always", "never"]).exactOptional(),
  readyTimeoutMs: z.number().positive().exactOptional(),
});

/** The extension point for host runtimes; a provider's name is the host's name. */
export const hostRuntime: ExtensionPoint<HostRuntime> = defineExtensionPoint<HostRuntime>()({
  id: "vdc.host",
  version: "1.0",
  summary: "A host: what it has, and the data-plane processes it runs.",
  operations: {
    describe: describeOperation,
    inventory: unary({
      summary: "Tells what the host is and has.",
      input: empty,
      output: schemaOf<HostInventory>()(
        z.object({
          hostId: identifier,
          bootId: identifier,
          address: z.string(),
          failureDomain: z.string(),
          cpus: z.number(),
          memoryBytes: bytes,
          directory: z.string(),
        }),
      ),
      idempotent: true,
      errors: [],
    }),
    ensureProcess: unary({
      summary: "Runs a data-plane process, or finds that it runs.",
      input: ensureProcess,
      output: processStatus,
      idempotent: true,
      errors: ["FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "ABORTED"],
    }),
    removeProcess: unary({
      summary: "Ends a process; ending what is absent succeeds.",
      input: z.object({ processId, graceMs: z.number().nonnegative().exactOptional() }),
      output: nothing,
      idempotent: true,
      errors: [],
    }),
    listProcesses: unary({
      summary: "Lists the host's processes.",
      input: z.object({ ownerDatacenter: z.string().exactOptional() }),
      output: z.array(processStatus),
      idempotent: true,
      errors: [],
    }),
    watchProcesses: watch({
      summary: "Tells how processes change.",
      input: empty,
      output: watchItemOf(processStatus),
      idempotent: true,
      errors: [],
    }),
    request: unary({
      summary: "Calls a method of a process's control protocol.",
      input: z.object({ processId, method: z.string(), params: json }),
      output: json,
      idempotent: false,
      errors: [
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "ABORTED",
        "UNIMPLEMENTED",
        "RESOURCE_EXHAUSTED",
        "ALREADY_EXISTS",
        "OUT_OF_RANGE",
        "DATA_LOSS",
      ],
    }),
    readLog: stream({
      summary: "Streams what a process has written.",
      input: z.object({ processId, offset: bytes.exactOptional(), follow: z.boolean().exactOptional() }),
      output: z.object({ offset: bytes, text: z.string() }),
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
  },
  facets: {},
});
