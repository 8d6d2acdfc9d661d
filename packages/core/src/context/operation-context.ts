import type { Context as TraceContext } from "@opentelemetry/api";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** How far a long operation has come. */
export interface Progress {
  /** 0 to 1. Absent when it cannot be told. */
  readonly fraction?: number;
  /** What is being done, for people. */
  readonly message?: string;
}

/** Randomness, injected so that tests can repeat it. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A random UUID (RFC 9562, version 4). */
  uuid(): string;
}

/**
 * What every operation gets as its second argument.
 *
 * It is made by the kernel, not by plugins. Across a process boundary the signal, deadline, progress, idempotency key, tenant
 * and trace context are carried over; logger, clock and randomness are those of the process that runs the provider.
 */
export interface OperationContext {
  /**
   * Aborts when the caller cancels, the deadline passes, or the plugin that serves the call is stopped. A context that was passed
   * on from another call keeps that call's signal.
   */
  readonly signal: AbortSignal;
  /**
   * When the caller stops waiting, in {@link Clock.monotonic} milliseconds. `undefined` when it waits for as long as it takes. A call that begins after it
   * fails with `DEADLINE_EXCEEDED`, and has no effect.
   */
  readonly deadline: number | undefined;
  /** Names this call across retries: a provider that sees a key again returns what it returned before. */
  readonly idempotencyKey: string | undefined;
  /** On whose behalf the call is made. Defaults to `default`. */
  readonly tenant: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** The OpenTelemetry context that spans of this call belong to. `undefined` when nobody traces. */
  readonly trace: TraceContext | undefined;
  /** Reports progress to whoever waits. Never throws. */
  progress(update: Progress): void;
}

/** What a caller may say about a call. All of it is optional. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long the caller waits, in milliseconds, from now. */
  readonly timeoutMs?: number | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly tenant?: string | undefined;
  readonly trace?: TraceContext | undefined;
  /** Called for each progress report. */
  readonly onProgress?: ((update: Progress) => void) | undefined;
}
