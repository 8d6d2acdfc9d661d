import { formatByteRate, formatByteSize } from "./byte-size.ts";
import { formatDuration } from "./duration.ts";

/** How far something has come. */
export interface ProgressState {
  readonly label: string;
  /** 0 to 1, where it is known. */
  readonly fraction?: number | undefined;
  readonly doneBytes?: number | undefined;
  readonly totalBytes?: number | undefined;
  /** Since it began, or since it was first known how far it is. */
  readonly elapsedMs: number;
  /** The fraction at which the time began to run: what a call before has done says nothing about the rate. */
  readonly beganAt?: number | undefined;
  readonly message?: string | undefined;
}

/** What can be said of it in one line, without the bar: `42%, 1.2 GiB of 3 GiB, 120 MiB/s, 0:17 left`. Pure. */
export function describeProgress(state: ProgressState): string {
  const { fraction, doneBytes, totalBytes, elapsedMs, beganAt = 0, message } = state;
  const parts: string[] = [];
  if (fraction !== undefined) parts.push(`${Math.floor(fraction * 100)}%`);
  if (doneBytes !== undefined) {
    parts.push(formatByteSize(doneBytes) + (totalBytes === undefined ? "" : ` of ${formatByteSize(totalBytes)}`));
  }
  // A rate of the first moments says nothing.
  if (fraction !== undefined && fraction > beganAt && elapsedMs >= 500) {
    const perMs = (fraction - beganAt) / elapsedMs;
    if (totalBytes !== undefined) parts.push(formatByteRate(perMs * totalBytes * 1000));
    if (fraction < 1) parts.push(`${formatDuration((1 - fraction) / perMs)} left`);
  } else if (fraction === undefined && doneBytes !== undefined && elapsedMs >= 500) {
    parts.push(formatByteRate((doneBytes / elapsedMs) * 1000));
  }
  // Bytes that are counted above say it already.
  if (message !== undefined && doneBytes === undefined) parts.push(message);
  return parts.join(", ");
}

/** A line of a terminal of that width: label, bar, and what can be said. Pure. */
export function renderProgress(state: ProgressState, columns: number): string {
  const said = describeProgress(state);
  const { fraction, label, elapsedMs } = state;
  const room = Math.min(30, columns - label.length - said.length - 6);
  let bar = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[Math.floor(elapsedMs / 100) % 10] ?? "";
  if (fraction !== undefined) {
    const eighths = Math.max(0, Math.min(room * 8, Math.round(fraction * room * 8)));
    const last = eighths % 8 === 0 ? "" : (" ▏▎▍▌▋▊▉"[eighths % 8] ?? "");
    bar = room < 5 ? "" : ("█".repeat(Math.floor(eighths / 8)) + last).padEnd(room, "░");
  }
  const line = [label, bar, said].filter((part) => part !== "").join("  ");
  return [...line].slice(0, Math.max(10, columns - 1)).join("");
}

/** Where progress is shown. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

/** Options of {@link ProgressLine}. */
export interface ProgressLineOptions {
  readonly stream: ProgressStream;
  readonly label: string;
  readonly totalBytes?: number | undefined;
  /** How often a plain line is written where there is no terminal, in milliseconds. Defaults to 3,000. */
  readonly plainEveryMs?: number;
  /** Monotonic milliseconds. Defaults to the process's. */
  readonly now?: () => number;
}

/** Shows how far something is: on a terminal a line that changes, elsewhere a plain line every few seconds. What is quick shows nothing. */
export class ProgressLine {
  readonly #options: ProgressLineOptions;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  readonly #began: number;
  #known: { readonly at: number; readonly fraction: number } | undefined;
  #latest: Pick<ProgressState, "fraction" | "doneBytes" | "message"> = {};
  #written: number;
  #drawn = false;

  constructor(options: ProgressLineOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#began = this.#now();
    this.#written = this.#began;
    this.#timer = setInterval(() => this.draw(), 100);
    this.#timer.unref();
  }

  /** Tells how far it is. Cheap: it is shown later. */
  update(progress: Pick<ProgressState, "fraction" | "doneBytes" | "message">): void {
    const { totalBytes } = this.#options;
    const {
      fraction,
      doneBytes = fraction === undefined || totalBytes === undefined ? undefined : fraction * totalBytes,
    } = progress;
    this.#latest = { ...progress, doneBytes };
    if (fraction !== undefined) this.#known ??= { at: this.#now(), fraction };
  }

  /** Shows it, when it is time. */
  draw(): void {
    const { stream, plainEveryMs = 3_000 } = this.#options;
    const now = this.#now();
    if (stream.isTTY === true) {
      // What ends at once needs no line.
      if (now - this.#began < 200) return;
      this.#drawn = true;
      stream.write(`\r\u001b[2K${renderProgress(this.#state(now), stream.columns ?? 80)}`);
    } else if (now - this.#written >= plainEveryMs) {
      this.#written = now;
      stream.write(`${this.#options.label}: ${describeProgress(this.#state(now)) || "working"}\n`);
    }
  }

  /** Ends the line; it leaves nothing on a terminal. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#drawn) this.#options.stream.write("\r\u001b[2K");
    this.#drawn = false;
  }

  #state(now: number): ProgressState {
    const { label, totalBytes } = this.#options;
    const known = this.#known ?? { at: this.#began, fraction: 0 };
    return { ...this.#latest, label, totalBytes, elapsedMs: now - known.at, beganAt: known.fraction };
  }
}
