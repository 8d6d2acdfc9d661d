import { type Json, VdcError } from "@vdc-os/core";
import type { DataPlaneMethod } from "@vdc-os/core/remote";

/**
 * The specifier of the suite's own data plane: a module whose methods the suite calls, and a command that does what its first argument says.
 * Hosts that share this machine's files run it as it is.
 */
export const suitePlane = "@vdc-os/ready/host/plane";

/** What the suite's data plane has of the process that it runs in: a real one, or one that only looks so. */
export interface PlaneProcess {
  readonly processId: string;
  /** `<datacenter uid>/<host id>/<process id>`. */
  readonly owner: string;
  readonly pid: number;
  /** Writes to its log. */
  write(text: string): void;
  /** Ends it at once. */
  exit(code: number): void;
  /** Ends it by SIGKILL. */
  kill(): void;
  /** Starts a process that leaves it, as a daemon does, and returns the pid of that. */
  breed(): number | Promise<number>;
  /** Whether a process of the host runs. */
  isAlive(pid: number): boolean | Promise<boolean>;
}

/** What the suite's data plane does, for its config. */
export interface PlaneConfig {
  /** `crash` ends it with 3 before it answers, `mute` never answers. Defaults to an orderly start. */
  readonly start?: "crash" | "mute";
  /** What SIGTERM does: `slow` takes half a second to stop, `never` does not hear it. Defaults to an end at once. */
  readonly stop?: "slow" | "never";
  /** Anything. */
  readonly data?: Json;
}

/** A data plane that has begun. */
export interface StartedPlane {
  /** Whether it answers on its control socket. */
  readonly answers: boolean;
  readonly methods: Readonly<Record<string, DataPlaneMethod>>;
  /** What SIGTERM begins: the process ends when it has resolved. */
  stop(): Promise<void>;
}

/** Runs the suite's data plane in a process. */
export function startPlane(self: PlaneProcess, config: Json): StartedPlane {
  const { start, stop } = (config ?? {}) as PlaneConfig;
  self.write(`plane ${self.processId} begins\n`);
  if (start === "crash") {
    self.write("crashing as asked\n");
    self.exit(3);
  }
  let givenUp = 0;
  const methods: Record<string, DataPlaneMethod> = {
    echo: (params) => params,
    who: () => ({ processId: self.processId, owner: self.owner, pid: self.pid, config }),
    fail: (params) => {
      const { code, reason } = params as { readonly code: VdcError["code"]; readonly reason: string };
      throw new VdcError(code, "as asked", { reason });
    },
    never: (_, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          givenUp++;
          reject(new VdcError("CANCELLED", "given up"));
        });
      }),
    "given-up": () => givenUp,
    write: (params) => {
      const { text, times = 1 } = params as { readonly text: string; readonly times?: number };
      self.write(text.repeat(times));
      return null;
    },
    exit: (params) => self.exit((params as { readonly code: number }).code) ?? null,
    kill: () => self.kill() ?? null,
    breed: () => self.breed(),
    alive: (params) => self.isAlive((params as { readonly pid: number }).pid),
  };
  return {
    answers: start === undefined,
    methods,
    async stop() {
      if (stop === "never") await new Promise(() => undefined);
      if (stop === "slow") await new Promise((resolve) => setTimeout(resolve, 500));
    },
  };
}

/** Runs the suite's command: `print` writes its arguments as JSON and ends, `exit` ends with a code, `stay` stays. */
export function startCommand(self: PlaneProcess, [what, ...args]: readonly string[]): void {
  if (what === "print") self.write(`${JSON.stringify(args)}\n`);
  else self.write(`command ${self.processId} begins\n`);
  if (what !== "stay") self.exit(what === "exit" ? Number(args[0]) : 0);
}
