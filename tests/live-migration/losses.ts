import { expect } from "vitest";
import type { EchoPeer } from "./echo-peer.ts";
import type { EchoTally, NumberedEcho } from "./numbered-echoes.ts";

/**
 * What a move of the VM from one wire to the next has cost, after it was made sure that nothing else was lost.
 *
 * The window of a switchover opens with the first frame that the VM did not take any more before its processors stood still; it closes with the first that
 * it takes at the target. By time neither can be told: a frame on its way to a VM that is about to stand still may be taken or not, and of what waits for the
 * VM at the target QEMU may forget the first when the VM's state is loaded. By order both can, since no frame on its way from one place to another passes an
 * earlier one. So the requests that a peer lost must be one run of numbers without a gap, and the number behind it the first that the VM took at the target.
 * Replies that were lost must be the first that the VM gave there.
 */
export function lossesOf(
  { wires }: EchoTally,
  peers: readonly EchoPeer[],
  { target, requests }: { readonly target: number; readonly requests: readonly NumberedEcho[] },
): { readonly requests: number; readonly replies: number } {
  const { requests: came = [], replies = [], unheard = [] } = wires[target] ?? {};
  for (const peer of peers) {
    const lost = numbersOf(requests, peer);
    const first = numbersOf(came, peer).find((number) => !lost.includes(number)) ?? Number.NaN;
    const run = lost.map((_, index) => first - lost.length + index);
    expect({ peer: peer.host, requests: lost }).toEqual({ peer: peer.host, requests: run });
    const mute = numbersOf(unheard, peer);
    const begin = numbersOf(replies, peer).slice(0, mute.length);
    expect({ peer: peer.host, replies: mute }).toEqual({ peer: peer.host, replies: begin });
  }
  return { requests: requests.length, replies: unheard.length };
}

/** The numbers of a peer's echoes, in order. */
function numbersOf(echoes: readonly NumberedEcho[], peer: EchoPeer): readonly number[] {
  return echoes.flatMap((each) => (each.peer === peer ? [each.number] : [])).sort((one, other) => one - other);
}
