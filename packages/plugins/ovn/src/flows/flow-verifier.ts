import type { Clock, Logger } from "@vdc-os/core";
import { connectOpenFlow, type OpenFlowClient, type TlsSettings } from "@vdc-os/openflow";

/** Options of {@link FlowVerifier}. */
export interface FlowVerifierOptions {
  /** `unix:<path>`, `tcp:<host>:<port>` or `ssl:<host>:<port>`, where a bridge speaks OpenFlow. */
  readonly remote: string;
  readonly tls?: TlsSettings;
  /** How long connecting and each answer may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The cookies that the bridge must have flows of, as things are now. */
  readonly wanted: () => Iterable<bigint>;
  /** Called when what is known has changed. */
  readonly onChange: () => void;
}

/** What is known of a cookie: `unknown` until the bridge was asked. */
export type FlowState = "there" | "missing" | "unknown";

const againMs = 250;
const auditMs = 30_000;
const askedAtOnce = 256;

/**
 * Whether a chassis' bridge really holds flows for logical flows. `ovn-controller` acknowledges a logical flow that it could not translate, and only writes a
 * warning to its log: so the bridge itself is asked. What is missing is asked for again four times a second, all of it every 30 seconds.
 */
export class FlowVerifier {
  readonly #options: FlowVerifierOptions;
  readonly #known = new Map<bigint, Exclude<FlowState, "unknown">>();
  readonly #running: Promise<void>;
  #bridge: OpenFlowClient | undefined;
  #problem: string | undefined;
  #isDirty = true;
  #isClosed = false;
  #wake: (() => void) | undefined;
  #cancel: (() => void) | undefined;
  #auditAt: number;

  constructor(options: FlowVerifierOptions) {
    this.#options = options;
    this.#auditAt = options.clock.monotonic() + auditMs;
    this.#running = this.#run();
  }

  /** Why the bridge can't be asked; undefined where it can, or need not be. */
  get problem(): string | undefined {
    return this.#problem;
  }

  state(cookie: bigint): FlowState {
    return this.#known.get(cookie) ?? "unknown";
  }

  /** Lets it look at what is wanted now. */
  kick(): void {
    this.#isDirty = true;
    this.#wake?.();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    this.#bridge?.close();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, logger, onChange, remote } = this.#options;
    while (!this.#isClosed) {
      if (!this.#isDirty) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#isDirty = false;
      const before = this.#problem;
      let hasChanged = false;
      try {
        hasChanged = await this.#round();
        this.#problem = undefined;
      } catch (error) {
        this.#bridge?.close();
        this.#bridge = undefined;
        this.#problem = error instanceof Error ? error.message : String(error);
        // It is asked again after a pause, also where it hangs up on whoever asks.
        this.#isDirty = false;
      }
      if (this.#isClosed) return;
      if (this.#problem !== undefined && before === undefined) {
        logger.warn("flows of a chassis can't be verified", { remote, detail: this.#problem });
      }
      const isWhole = this.#problem === undefined && ![...this.#known.values()].includes("missing");
      this.#cancel?.();
      this.#cancel = clock.schedule(isWhole ? Math.max(1, this.#auditAt - clock.monotonic()) : againMs, () =>
        this.kick(),
      );
      if (hasChanged || before !== this.#problem) onChange();
    }
  }

  /** Returns whether anything is known that was not before. */
  async #round(): Promise<boolean> {
    const { clock, wanted } = this.#options;
    const cookies = new Set(wanted());
    const isAudit = clock.monotonic() >= this.#auditAt;
    if (isAudit) this.#auditAt = clock.monotonic() + auditMs;
    for (const cookie of this.#known.keys()) if (!cookies.has(cookie)) this.#known.delete(cookie);
    const isNew = this.#bridge?.isOpen !== true;
    let hasChanged = isNew && this.#known.size > 0;
    // A bridge that has gone may have come back empty.
    if (isNew) this.#known.clear();
    const asked = [...cookies].filter((cookie) => isAudit || this.#known.get(cookie) !== "there");
    if (asked.length === 0) return hasChanged;
    const bridge = isNew || this.#bridge === undefined ? await this.#connect() : this.#bridge;
    for (let at = 0; at < asked.length; at += askedAtOnce) {
      const part = asked.slice(at, at + askedAtOnce);
      const counts = await Promise.all(part.map((cookie) => bridge.aggregate({ cookie })));
      part.forEach((cookie, index) => {
        const state = (counts[index]?.flows ?? 0) > 0 ? "there" : "missing";
        hasChanged ||= this.#known.get(cookie) !== state;
        this.#known.set(cookie, state);
      });
    }
    return hasChanged;
  }

  async #connect(): Promise<OpenFlowClient> {
    const { remote, tls, timeoutMs } = this.#options;
    const bridge = await connectOpenFlow({ remote, timeoutMs, ...(tls === undefined ? {} : { tls }) });
    this.#bridge = bridge;
    void bridge.closed.then(() => {
      if (this.#bridge === bridge) this.kick();
    });
    return bridge;
  }
}
