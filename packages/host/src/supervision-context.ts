import type { Logger } from "@vdc-os/core";
import type { HostDirectory } from "./host-directory.ts";
import type { SupervisedProcess } from "./supervised-process.ts";

/** What supervised processes share. */
export interface SupervisionContext {
  readonly directory: HostDirectory;
  readonly hostId: string;
  readonly bootId: string;
  readonly logger: Logger;
  /** Where module specifiers are resolved from: a file's path or URL. */
  readonly resolveFrom: string;
  readonly firstBackOffMs: number;
  readonly maxBackOffMs: number;
  /** Hears of every change of a status. */
  readonly onChange: (process: SupervisedProcess, type: "added" | "modified" | "deleted") => void;
}
