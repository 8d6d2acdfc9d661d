import type { JsonSplitterOptions } from "../wire/json-splitter.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../wire/json-splitter.ts";
import type { TlsSettings } from "../wire/open-stream.ts";

/** How connections to servers are made and watched. */
export interface ConnectionSettings extends JsonSplitterOptions {
  /** For `ssl:` remotes. */
  readonly tls?: TlsSettings;
  /** How long one attempt to open a connection, and each request of its set-up, may take. Defaults to 5,000. */
  readonly connectTimeoutMs?: number;
  /**
   * After how long a silence the server is asked whether it lives; after as long again without a byte the connection is dropped and made anew. 0: never.
   * Defaults to 5,000.
   */
  readonly probeIntervalMs?: number;
  /** How long one message of the server may take from its first byte to its last. Defaults to 60,000. */
  readonly messageTimeoutMs?: number;
  /** How much may wait to be sent, in bytes; beyond it calls fail with `OVSDB_BUSY`. Defaults to 64 MiB. */
  readonly maxQueuedBytes?: number;
  /**
   * Whether a clustered database is used at its leader only: others are skipped, and left when they lose the leadership. Followers may tell things late. A
   * database that is not clustered is its own leader. Defaults to true.
   */
  readonly leaderOnly?: boolean;
}

export interface ResolvedSettings extends Required<Omit<ConnectionSettings, "tls" | "maxDepth">> {
  readonly tls: TlsSettings;
  readonly maxDepth: number;
}

export function resolveSettings(settings: ConnectionSettings): ResolvedSettings {
  return {
    tls: settings.tls ?? {},
    connectTimeoutMs: settings.connectTimeoutMs ?? 5_000,
    probeIntervalMs: settings.probeIntervalMs ?? 5_000,
    messageTimeoutMs: settings.messageTimeoutMs ?? 60_000,
    maxQueuedBytes: settings.maxQueuedBytes ?? 64 * 1024 * 1024,
    leaderOnly: settings.leaderOnly ?? true,
    maxMessageBytes: settings.maxMessageBytes ?? DEFAULT_MAX_MESSAGE_BYTES,
    maxDepth: settings.maxDepth ?? 64,
  };
}
