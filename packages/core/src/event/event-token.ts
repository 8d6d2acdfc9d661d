import type { z } from "zod";

/** A typed, versioned event: a value token that carries its payload's type. */
export interface EventToken<Payload> {
  /** Dotted, lower case: `vdc.plugin.state`. */
  readonly id: string;
  /** The payload's version, `major.minor`. */
  readonly version: string;
  /** One sentence: when it is emitted. */
  readonly summary: string;
  readonly payload: z.ZodType<Payload>;
  /**
   * Whether a listener that comes late gets the latest payload at once, and how payloads are told apart for that:
   * one is kept for each key. `undefined` keeps none.
   */
  readonly latestBy?: ((payload: Payload) => string) | undefined;
}

/** Defines an event. Anyone may. */
export function defineEvent<Payload>(options: EventToken<Payload>): EventToken<Payload> {
  return Object.freeze({ ...options });
}
