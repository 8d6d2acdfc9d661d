/** What all exports of a process were asked, so that one of them can tell whether it is alone. */
export interface ServerActivity {
  requests: number;
}

/** A flush that took longer is left to another thread, in milliseconds. */
const SHORT_MS = 5;
/** More than that is left to another thread: its flush is not a short one. */
const FEW_BYTES: number = 256 * 1024;
/** So many flushes are made in place before one is made beside again, to see whether something comes meanwhile. */
const IN_PLACE_AT_MOST = 15;
/** So many writes with a flush after each, and nothing else, make the next flush expected. */
const HABIT = 8;

/**
 * Decides where a volume is flushed. The way to another thread and back takes as long as a fast disk's sync, and is the greater part of it on a machine that is busy. So a client
 * that sends one request after the other, while nobody asks anything of any other volume of the process, is flushed in place: nobody is there to be held up. One that has the habit of
 * a flush after each write finds it begun when it asks for it.
 *
 * Every 16th flush goes to another thread all the same. When something comes meanwhile, or it takes long, the next ones do as well.
 */
export class FlushPlacement {
  readonly #activity: ServerActivity;
  readonly #now: () => number;
  /** Of this volume, since its last flush. */
  #requests = 0;
  #writes = 0;
  #bytes = 0;
  /** What the process had been asked at that time. */
  #before = 0;
  #inPlaceLeft = 0;
  #habit = 0;

  /** `now` is in milliseconds. */
  constructor(activity: ServerActivity, now: () => number = () => performance.now()) {
    this.#activity = activity;
    this.#now = now;
  }

  /** Something other than a write or a flush was asked. */
  asked(): void {
    this.#activity.requests++;
    this.#requests++;
  }

  /** Something was written. */
  wrote(bytes: number): void {
    this.asked();
    this.#writes++;
    this.#bytes += bytes;
  }

  /** Whether what was written last should be flushed in place now, before anybody asks. */
  get isExpected(): boolean {
    return this.#habit >= HABIT && this.#writes === 1 && this.#requests === 1 && this.isInPlace;
  }

  /** Whether a flush should hold up the thread. */
  get isInPlace(): boolean {
    const isAlone = this.#activity.requests - this.#before === this.#requests;
    return isAlone && this.#inPlaceLeft > 0 && this.#bytes <= FEW_BYTES;
  }

  /** Makes a flush that was not asked for. */
  ahead(run: () => void): void {
    this.#timed(run);
  }

  /** Makes a flush that was asked for, in place. */
  inPlace(run: () => void): void {
    this.#begin();
    this.#inPlaceLeft--;
    this.#timed(run);
  }

  /** Makes a flush that was asked for, on another thread. */
  async beside(run: () => Promise<void>): Promise<void> {
    this.#begin();
    this.#inPlaceLeft = 0;
    const { requests } = this.#activity;
    const began = this.#now();
    await run();
    const isQuiet = this.#activity.requests === requests && this.#now() - began < SHORT_MS;
    if (isQuiet) this.#inPlaceLeft = IN_PLACE_AT_MOST;
  }

  #begin(): void {
    this.#habit = this.#writes === 1 && this.#requests === 1 ? this.#habit + 1 : 0;
    this.#requests = 0;
    this.#writes = 0;
    this.#bytes = 0;
    this.#before = ++this.#activity.requests;
  }

  #timed(run: () => void): void {
    const began = this.#now();
    run();
    if (this.#now() - began >= SHORT_MS) this.#inPlaceLeft = 0;
  }
}
