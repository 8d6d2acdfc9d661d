/** Which operation of which provider. */
export interface CallSite {
  /** The extension point's id: `vdc.storage`. */
  readonly point: string;
  /** The provider's name. */
  readonly name: string;
  /** The operation; one of a facet with the facet before it: `clones.cloneVolume`. */
  readonly operation: string;
}

/** A call that reached the world. */
export interface LoggedCall extends CallSite {
  /** 1 for the first call in the world, and so on. */
  readonly sequence: number;
  /** When it came in, by the world's clock. */
  readonly at: number;
  /** What was asked. Left out for secret stores. */
  readonly input: unknown;
  /** `open` while it runs, then `ok`, or the code that it failed with. */
  outcome: string;
}

/** Which calls are meant. What is left out matches all. */
export type CallFilter = Partial<CallSite>;

/** How many calls are kept. Older ones are forgotten, and still counted by their sequence. */
const maxCalls = 20_000;

/** The calls that a world has served, in order, for assertions. */
export class CallLog {
  #calls: LoggedCall[] = [];
  #sequence = 0;

  /** The calls that match, oldest first. */
  calls(filter: CallFilter = {}): readonly LoggedCall[] {
    return this.#calls.filter((call) => matchesSite(filter, call));
  }

  /** How many calls match. */
  count(filter: CallFilter = {}): number {
    return this.calls(filter).length;
  }

  /** Forgets what was logged. */
  clear(): void {
    this.#calls = [];
  }

  /** Logs a call; the caller writes its outcome into what is returned. */
  begin(site: CallSite, input: unknown, at: number): LoggedCall {
    this.#sequence += 1;
    const call: LoggedCall = {
      ...site,
      sequence: this.#sequence,
      at,
      input: site.point === "vdc.secret" ? undefined : input,
      outcome: "open",
    };
    this.#calls.push(call);
    if (this.#calls.length > maxCalls) this.#calls.splice(0, maxCalls / 2);
    return call;
  }
}

/** Whether a site is one that the filter means. */
export function matchesSite(filter: CallFilter, site: CallSite): boolean {
  return (
    (filter.point === undefined || filter.point === site.point) &&
    (filter.name === undefined || filter.name === site.name) &&
    (filter.operation === undefined || filter.operation === site.operation)
  );
}
