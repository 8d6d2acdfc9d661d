export interface ActivityProbeOptions {
  /** 0: no probes. */
  readonly probeIntervalMs: number;
  readonly messageTimeoutMs: number;
  readonly sendProbe: () => void;
  /** Called once, with the reason in words. */
  readonly onSilence: (text: string) => void;
}

/** Notices a peer that says nothing any more, or that never ends a message it began. */
export class ActivityProbe {
  readonly #options: ActivityProbeOptions;
  #timer: NodeJS.Timeout | undefined;
  #heardAt: number = performance.now();
  #probedAt: number | undefined;
  #messageSince: number | undefined;

  constructor(options: ActivityProbeOptions) {
    this.#options = options;
    const { probeIntervalMs, messageTimeoutMs } = options;
    const period = Math.max(5, Math.min(probeIntervalMs || messageTimeoutMs, messageTimeoutMs) / 2);
    this.#timer = setInterval(() => this.#look(), period);
    this.#timer.unref();
  }

  received(): void {
    this.#heardAt = performance.now();
    this.#probedAt = undefined;
  }

  /** Told after every chunk: whether a message has begun and not ended. */
  inMessage(yes: boolean): void {
    if (!yes) this.#messageSince = undefined;
    else this.#messageSince ??= performance.now();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const reason = this.#reason();
    if (reason === undefined) return;
    // After a long turn of our own the peer's answer may lie in the socket, unread: it is read before this is asked again.
    setImmediate(() => {
      const confirmed = this.#timer === undefined ? undefined : this.#reason();
      if (confirmed !== undefined) this.#options.onSilence(confirmed);
    });
  }

  #reason(): string | undefined {
    const now = performance.now();
    const { probeIntervalMs, messageTimeoutMs } = this.#options;
    if (this.#messageSince !== undefined && now - this.#messageSince > messageTimeoutMs) {
      return `a message did not end within ${messageTimeoutMs} ms`;
    }
    if (probeIntervalMs === 0) return undefined;
    if (this.#probedAt !== undefined) {
      return now - this.#probedAt >= probeIntervalMs ? `no answer to an echo within ${probeIntervalMs} ms` : undefined;
    }
    if (now - this.#heardAt >= probeIntervalMs) {
      this.#probedAt = now;
      this.#options.sendProbe();
    }
    return undefined;
  }
}
