import { expect } from "vitest";
import type { EchoPeer } from "./echo-peer.ts";
import type { EchoTally, NumberedEcho } from "./numbered-echoes.ts";

/** A move of the VM to the wire of this index, and the requests that were lost about then. */
export interface Switchover {
  readonly target: number;
  readonly requests: readonly NumberedEcho[];
  /** The last requests that were sent before the VM ran again, where the port was activated before. */
  readonly upTo?: ReadonlyMap<EchoPeer, number>;
}

/**
 * What a move of the VM from one wire to the next has cost, after it was made sure that nothing else was lost.
 *
 * The window of a switchover opens with the first frame that the VM did not take any more before its processors stood still; it closes with the first that
 * it takes at the target. By time neither can be told: a frame on its way to a VM that is about to stand still may be taken or not, and of what waits for the
 * VM at the target QEMU may forget the first when the VM's state is loaded. By order both can, since no frame on its way from one place to another passes an
 * earlier one. So the requests that a peer lost must be one run of numbers without a gap, and the number behind it the first that the VM took at the target.
 * Replies that were lost must be the first that the VM gave there.
 *
 * Where the port is activated while the VM stands still, hosts change over then, and one that does can lose a frame behind the first that came to the target,
 * where it waits for the VM. So there `upTo` closes the window: the last requests that were sent before the VM went on. It opens behind the last that the VM
 * took before it stood still.
 */
export function lossesOf(
  { wires }: EchoTally,
  peers: readonly EchoPeer[],
  { target, requests, upTo }: Switchover,
): { readonly requests: number; readonly replies: number } {
  const { requests: came = [], replies = [], unheard = [] } = wires[target] ?? {};
  for (const peer of peers) {
    const lost = numbersOf(requests, peer);
    const last = upTo?.get(peer);
    const window =
      last === undefined
        ? runBefore(numbersOf(came, peer).find((number) => !lost.includes(number)) ?? Number.NaN, lost.length)
        : lost.filter((number) => number > lastOf(numbersOf(wires[target - 1]?.replies ?? [], peer)) && number <= last);
    expect({ peer: peer.host, requests: lost }).toEqual({ peer: peer.host, requests: window });
    const mute = numbersOf(unheard, peer);
    const begin = numbersOf(replies, peer).slice(0, mute.length);
    expect({ peer: peer.host, replies: mute }).toEqual({ peer: peer.host, replies: begin });
  }
  return { requests: requests.length, replies: unheard.length };
}

/** The `count` numbers before one. */
function runBefore(number: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => number - count + index);
}

function lastOf(numbers: readonly number[]): number {
  return numbers.at(-1) ?? 0;
}

/** The numbers of a peer's echoes, in order. */
function numbersOf(echoes: readonly NumberedEcho[], peer: EchoPeer): readonly number[] {
  return echoes.flatMap((each) => (each.peer === peer ? [each.number] : [])).sort((one, other) => one - other);
}
