import type { EchoPeer } from "./echo-peer.ts";
import type { Echo, Station } from "./ip-frames.ts";
import type { Crossing, VmWire } from "./vm-wire.ts";

/** A dummy device drops what exceeds a hundred frames waiting: all streams together stay below that. */
const mostUnderWay = 16;
const spacingMs = 5;

/** A numbered request, or the reply to it. */
export interface NumberedEcho {
  readonly peer: EchoPeer;
  readonly number: number;
}

/** What became of the requests, and of the replies. */
export interface EchoTally {
  readonly sent: number;
  /** What came more than once to a wire of the VM, or to the peer; what the VM replied to more than once. */
  readonly duplicated: readonly NumberedEcho[];
  /** Requests that no wire of the VM got. */
  readonly missed: readonly NumberedEcho[];
  readonly wires: readonly WireTally[];
}

/** What became of what came to a wire of the VM, and of what the VM said there. */
export interface WireTally {
  readonly requests: readonly NumberedEcho[];
  /** Requests that the VM did not take here, and that no later wire got: it never replied. */
  readonly untaken: readonly NumberedEcho[];
  /** What the VM replied here. */
  readonly replies: readonly NumberedEcho[];
  /** Replies that did not reach whoever had asked. */
  readonly unheard: readonly NumberedEcho[];
}

/** Streams of numbered requests, one from each peer every five milliseconds. Each wants exactly one reply. */
export class NumberedEchoes implements Disposable {
  readonly #peers: readonly EchoPeer[];
  readonly #vm: Station;
  readonly #wires: VmWire[] = [];
  readonly #sentBy = new Map<EchoPeer, number>();
  /** The highest number of each stream that has come to a wire of the VM. */
  readonly #arrived = new Map<EchoPeer, number>();
  readonly #waiting = new Set<{ readonly round: number; readonly resolve: () => void }>();
  #timer: NodeJS.Timeout | undefined;
  #round = 0;

  constructor(peers: readonly EchoPeer[], vm: Station) {
    this.#peers = peers;
    this.#vm = vm;
    for (const peer of peers) this.#sentBy.set(peer, 0);
  }

  /** Another wire of the VM. */
  follow(wire: VmWire): void {
    this.#wires.push(wire);
    wire.onCrossing = ({ towards, echo }) => {
      if (towards === "vm" && echo !== undefined) this.#came(echo);
    };
  }

  /** Asks for number 0 until the VM answers every peer; then the streams begin, with number 1. */
  async begin(wire: VmWire): Promise<void> {
    this.follow(wire);
    const again = setInterval(() => {
      for (const peer of this.#peers) peer.ask(this.#vm, 0);
    }, 100);
    try {
      for (const peer of this.#peers) await peer.until(({ replies }) => replies.length > 0);
    } finally {
      clearInterval(again);
    }
    this.#timer = setInterval(() => this.#tick(), spacingMs);
  }

  /** Resolves after as many more rounds of requests. */
  rounds(count: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.add({ round: this.#round + count, resolve }));
  }

  /** The highest number of a peer's requests. */
  sent(peer: EchoPeer): number {
    return this.#sentBy.get(peer) ?? 0;
  }

  /** Asks no more; resolves when the last reply of each stream has come. They keep their order: nothing else can come then. */
  async end(): Promise<EchoTally> {
    this[Symbol.dispose]();
    for (const peer of this.#peers) await peer.until(({ replies }) => replies.includes(this.sent(peer)));
    const given = this.#wires.map(({ crossings }) => this.#read(crossings, "reply"));
    const got = this.#wires.map(({ crossings }) => this.#read(crossings, "request"));
    const answered = new Set(given.flatMap((replies) => [...replies.keys()]));
    const heard = new Map(
      this.#peers.flatMap((peer) =>
        [...countOf(peer.replies)].map(([number, times]) => [name({ peer, number }), times]),
      ),
    );
    const asked = this.#peers.flatMap((peer) =>
      Array.from({ length: this.sent(peer) }, (_, index) => ({ peer, number: index + 1 })),
    );
    const timesGiven = (echo: string): number => given.reduce((sum, each) => sum + (each.get(echo)?.times ?? 0), 0);
    return {
      sent: asked.length,
      duplicated: asked.filter((echo) => {
        const key = name(echo);
        const twice = got.some((requests) => (requests.get(key)?.times ?? 0) > 1);
        return twice || timesGiven(key) > 1 || (heard.get(key) ?? 0) > timesGiven(key);
      }),
      missed: asked.filter((echo) => !got.some((requests) => requests.has(name(echo)))),
      wires: got.map((requests, index) => {
        const isLater = (key: string): boolean => got.slice(index + 1).some((later) => later.has(key));
        const untaken = [...requests].filter(([key]) => !isLater(key) && !answered.has(key));
        const replies = [...(given[index] ?? [])];
        const unheard = replies.filter(([key]) => !heard.has(key));
        const echoesOf = (found: typeof untaken): readonly NumberedEcho[] => found.map(([, { echo }]) => echo);
        return {
          requests: echoesOf([...requests]),
          untaken: echoesOf(untaken),
          replies: echoesOf(replies),
          unheard: echoesOf(unheard),
        };
      }),
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #arrivedOf(peer: EchoPeer): number {
    return this.#arrived.get(peer) ?? 0;
  }

  #came({ identifier, sequence }: Echo): void {
    const peer = this.#peerOf(identifier);
    if (peer !== undefined) this.#arrived.set(peer, Math.max(this.#arrivedOf(peer), sequence));
  }

  #peerOf(identifier: number): EchoPeer | undefined {
    return this.#peers.find((peer) => peer.identifier === identifier);
  }

  #tick(): void {
    this.#round += 1;
    for (const peer of this.#peers) {
      const sent = this.sent(peer);
      if (sent - this.#arrivedOf(peer) >= mostUnderWay) continue;
      this.#sentBy.set(peer, sent + 1);
      peer.ask(this.#vm, sent + 1);
    }
    for (const waiting of this.#waiting) {
      if (waiting.round > this.#round) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  /** The numbered echoes of a kind by their names, each with how often it came. */
  #read(
    crossings: readonly Crossing[],
    kind: Echo["kind"],
  ): ReadonlyMap<string, { readonly echo: NumberedEcho; readonly times: number }> {
    const found = new Map<string, { echo: NumberedEcho; times: number }>();
    for (const { towards, echo } of crossings) {
      const peer = echo === undefined ? undefined : this.#peerOf(echo.identifier);
      const isOfKind = echo?.kind === kind && towards === (kind === "request" ? "vm" : "switch");
      if (peer === undefined || echo === undefined || !isOfKind || echo.sequence === 0) continue;
      const numbered = { peer, number: echo.sequence };
      found.set(name(numbered), { echo: numbered, times: (found.get(name(numbered))?.times ?? 0) + 1 });
    }
    return found;
  }
}

function name({ peer, number }: NumberedEcho): string {
  return `${peer.host} ${number}`;
}

function countOf(numbers: readonly number[]): ReadonlyMap<number, number> {
  const times = new Map<number, number>();
  for (const number of numbers) times.set(number, (times.get(number) ?? 0) + 1);
  return times;
}
