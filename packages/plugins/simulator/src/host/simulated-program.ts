import type { Json } from "@vdc-os/core";
import type { DataPlaneMethod } from "@vdc-os/core/remote";

/** What a simulated program has of the process that it seems to run in. */
export interface SimulatedProcess {
  readonly processId: string;
  /** `<datacenter uid>/<host id>/<process id>`. */
  readonly owner: string;
  /** Beyond what Linux gives out, so that nobody ends a real process by it. */
  readonly pid: number;
  /** What a module is given; `null` for a command. */
  readonly config: Json;
  /** What a command is given; none for a module. */
  readonly args: readonly string[];
  /** Writes to its log. */
  write(text: string): void;
  /** Ends it. */
  exit(code: number): void;
  /** Ends it by SIGKILL. */
  kill(): void;
  /** Starts a process that ends with this one, and returns its pid. */
  breed(): number;
  /** Whether a process of the host runs. */
  isAlive(pid: number): boolean;
}

/** A program that runs on a simulated host. */
export interface SimulatedRun {
  /** Whether it answers on its control socket. Defaults to true. */
  readonly answers?: boolean;
  /** The methods of its control protocol. Defaults to none. */
  readonly methods?: Readonly<Record<string, DataPlaneMethod>>;
  /** What SIGTERM begins: it ends when this has resolved. Defaults to an end at once. */
  stop?(): Promise<void>;
}

/** What a module or a command does on simulated hosts. */
export type SimulatedProgram = (self: SimulatedProcess) => SimulatedRun | undefined;
