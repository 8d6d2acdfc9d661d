import type { WireClock } from "../wire-clock.ts";
import { WireError } from "../wire-error.ts";
import { decodeProbe, encodeProbe, NONCE_BYTES, type Probe, replyTo } from "./probe-frame.ts";

/** A way to be tried. */
export interface ProbeTarget {
  readonly to: string;
  /** 0 for none. */
  readonly vlan: number;
  /** Octets of the frame, its tag not counted. */
  readonly frameBytes: number;
  /** The uplink to go out by; undefined for the way that frames take by themselves. */
  readonly uplink?: string | undefined;
}

/** What became of a way's probes. */
export interface ProbeResult extends ProbeTarget {
  readonly from: string;
  readonly sent: number;
  readonly answered: number;
  /** Why frames could not even be sent, such as `tunnelMtu`. */
  readonly refused?: string | undefined;
  /** The shortest. */
  readonly roundTripMs?: number | undefined;
}

export interface PathProberOptions {
  /** This host's name in the switch. */
  readonly member: string;
  readonly clock: WireClock;
  /** Puts an untagged frame into a VLAN, toward a member. A text says why it can't. */
  readonly send: (
    frame: Buffer,
    way: { readonly to: string; readonly vlan: number; readonly uplink?: string | undefined },
  ) => string | undefined;
  readonly randomBytes: (count: number) => Uint8Array;
  /** How many requests are sent on each way. Defaults to `3`. */
  readonly attempts?: number | undefined;
  /** How long answers are waited for after a request. Defaults to `1_000`. */
  readonly timeoutMs?: number | undefined;
}

/** The most ways of one run. */
export const MAX_PROBE_TARGETS = 4096;
/** More at once would fill queues by themselves. */
const WAYS_AT_ONCE = 256;
/** How many requests may be answered in a second: a probe must not become a flood. */
const MAX_ANSWERS_PER_SECOND = 1000;

/**
 * A member's part in the health check: asks other members by real frames, and answers theirs. It must be given probes that came through a
 * tunnel or an uplink only: a VM's are not to be answered.
 */
export class PathProber {
  readonly #options: PathProberOptions;
  /** Requests under way, by nonce and sequence. */
  readonly #waiting = new Map<string, () => void>();
  #second = 0;
  #answers = 0;
  #answered = 0;
  #ignored = 0;

  constructor(options: PathProberOptions) {
    this.#options = options;
  }

  /** Requests that were answered, and probes that were malformed, for others, too many, or late. */
  get statistics(): { readonly answered: number; readonly ignored: number } {
    return { answered: this.#answered, ignored: this.#ignored };
  }

  /** Takes a probe that another member sent. Never throws. */
  receive(frame: Buffer, { uplink }: { readonly uplink?: string | undefined } = {}): void {
    let probe: Probe;
    try {
      probe = decodeProbe(frame);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#ignored += 1;
      return;
    }
    const { member, send } = this.#options;
    const waiting = this.#waiting.get(keyOf(probe));
    if (probe.to === member && probe.kind === "reply" && waiting !== undefined) waiting();
    else if (probe.to === member && probe.kind === "request" && this.#mayAnswer()) {
      this.#answered += 1;
      send(encodeProbe(replyTo(probe)), { to: probe.from, vlan: probe.vlan, uplink });
    } else this.#ignored += 1;
  }

  /** Tries ways, one request at a time on each, many ways at once. Resolves with a result for each; rejects when `signal` is aborted. */
  async run(
    targets: readonly ProbeTarget[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<ProbeResult[]> {
    if (targets.length > MAX_PROBE_TARGETS) {
      throw new WireError("INVALID_ARGUMENT", `${targets.length} ways to probe; ${MAX_PROBE_TARGETS} at most`);
    }
    const nonce = this.#options.randomBytes(NONCE_BYTES);
    const results: ProbeResult[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      for (let index = next++; index < targets.length; index = next++) {
        const target = targets[index];
        if (target !== undefined) results[index] = await this.#try(target, { nonce, index, signal });
      }
    };
    await Promise.all(Array.from({ length: Math.min(targets.length, WAYS_AT_ONCE) }, work));
    return results;
  }

  async #try(
    target: ProbeTarget,
    run: { readonly nonce: Uint8Array; readonly index: number; readonly signal: AbortSignal | undefined },
  ): Promise<ProbeResult> {
    const { member, clock, send, attempts = 3 } = this.#options;
    let sent = 0;
    let answered = 0;
    let refused: string | undefined;
    let roundTripMs: number | undefined;
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      run.signal?.throwIfAborted();
      const sequence = (run.index * attempts + attempt) & 0xffff;
      const { to, vlan, frameBytes, uplink } = target;
      const probe: Probe = { kind: "request", from: member, to, vlan, frameBytes, sequence, nonce: run.nonce };
      const frame = encodeProbe(probe);
      const begin = clock.now();
      const answer = this.#answerTo(probe, run.signal);
      refused = send(frame, { to, vlan, uplink });
      if (refused !== undefined) {
        answer.cancel();
        break;
      }
      sent += 1;
      const cameAt = await answer.cameAt;
      if (cameAt !== undefined) {
        answered += 1;
        roundTripMs = Math.min(roundTripMs ?? Number.POSITIVE_INFINITY, cameAt - begin);
      }
    }
    return { ...target, from: member, sent, answered, refused, roundTripMs };
  }

  #answerTo(
    probe: Probe,
    signal: AbortSignal | undefined,
  ): { readonly cameAt: Promise<number | undefined>; readonly cancel: () => void } {
    const { clock, timeoutMs = 1000 } = this.#options;
    const { promise: cameAt, resolve } = Promise.withResolvers<number | undefined>();
    const key = keyOf(replyTo(probe));
    const end = (at: number | undefined): void => {
      this.#waiting.delete(key);
      cancelTimer();
      signal?.removeEventListener("abort", cancel);
      resolve(at);
    };
    const cancel = (): void => end(undefined);
    const cancelTimer = clock.schedule(timeoutMs, cancel);
    signal?.addEventListener("abort", cancel);
    this.#waiting.set(key, () => end(clock.now()));
    return { cameAt, cancel };
  }

  #mayAnswer(): boolean {
    const second = Math.floor(this.#options.clock.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#answers = 0;
    }
    this.#answers += 1;
    return this.#answers <= MAX_ANSWERS_PER_SECOND;
  }
}

/** A reply is the awaited one when everything in it is what was asked. */
function keyOf({ kind, from, vlan, frameBytes, sequence, nonce }: Probe): string {
  return `${kind} ${from} ${vlan} ${frameBytes} ${sequence} ${Buffer.from(nonce).toString("hex")}`;
}
