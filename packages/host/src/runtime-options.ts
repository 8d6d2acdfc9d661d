import { readFile } from "node:fs/promises";
import { type Json, json } from "@vdc-os/core";
import { z } from "zod";
import type { HostDirectory } from "./host-directory.ts";

/** How the runtime process exits when another one runs for the folder: `EX_TEMPFAIL` of sysexits.h. */
export const lockedExitCode = 75;

/** A plugin of a runtime in a process of its own: named, since code can't be handed over. */
export interface HostPluginModule {
  /** The module whose default export is the plugin: a specifier or a file URL. */
  readonly module: string;
  /** Defaults to the package's name. */
  readonly id?: string | undefined;
  /** Handed to the plugin. Never a secret: it lies in the host's folder. */
  readonly config?: Json | undefined;
}

/** What a runtime process is started with: the content of `runtime.json`. */
export interface RuntimeOptions {
  readonly hostId?: string | undefined;
  readonly address?: string | undefined;
  readonly failureDomain?: string | undefined;
  readonly plugins: readonly HostPluginModule[];
  /** From where specifiers are resolved: a file's path or URL. */
  readonly resolveFrom?: string | undefined;
  readonly firstBackOffMs?: number | undefined;
  readonly maxBackOffMs?: number | undefined;
  readonly ephemeral: boolean;
  readonly graceMs: number;
}

const schema: z.ZodType<RuntimeOptions> = z.object({
  hostId: z.string().optional(),
  address: z.string().optional(),
  failureDomain: z.string().optional(),
  plugins: z.array(z.object({ module: z.string(), id: z.string().optional(), config: json.optional() })),
  resolveFrom: z.string().optional(),
  firstBackOffMs: z.number().optional(),
  maxBackOffMs: z.number().optional(),
  ephemeral: z.boolean(),
  graceMs: z.number(),
});

/** Reads what the runtime process is started with. */
export async function readRuntimeOptions(directory: HostDirectory): Promise<RuntimeOptions> {
  return schema.parse(JSON.parse(await readFile(directory.runtimeOptions, "utf8")));
}
