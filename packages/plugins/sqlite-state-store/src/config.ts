import { join } from "node:path";
import { z } from "zod";

/** Config of the plugin. Exactly one of `directory` and `path` says where the state is kept. */
export interface SqliteStateStoreConfig {
  /** A folder of the store's own. It is made (mode 0700) when it is absent. */
  readonly directory?: string | undefined;
  /** Name of the database file in `directory`, without its ending. Defaults to `state`. */
  readonly name?: string | undefined;
  /** The database file itself. Its folder is made when it is absent. */
  readonly path?: string | undefined;
  /**
   * How many past revisions are kept for watches, page tokens and history. A watch that falls further behind gets `resync`.
   * Defaults to `10_000`.
   */
  readonly keepRevisions?: number | undefined;
}

/** Schema of {@link SqliteStateStoreConfig}. */
export const sqliteStateStoreConfig: z.ZodType<SqliteStateStoreConfig> = z
  .object({
    directory: z.string().min(1).optional(),
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
      .optional(),
    path: z.string().min(1).optional(),
    keepRevisions: z.int().min(1).max(100_000_000).optional(),
  })
  .refine((config) => (config.directory === undefined) !== (config.path === undefined), {
    message: "give exactly one of 'directory' and 'path'",
  })
  .refine((config) => config.path === undefined || config.name === undefined, {
    message: "'name' goes with 'directory': a 'path' names the file already",
  });

/** The database file that a config names. */
export function databasePath(config: SqliteStateStoreConfig): string {
  return config.path ?? join(config.directory ?? ".", `${config.name ?? "state"}.db`);
}
