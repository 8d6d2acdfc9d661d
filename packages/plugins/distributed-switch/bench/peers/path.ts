import type { Guests } from "../load/iperf.ts";

/** A way between two guests, which is up until its sandbox goes. */
export interface Path {
  readonly name: string;
  readonly guests: Guests;
}

/** What the guests of every path have as their addresses; each path has namespaces of its own. */
export const guestAddresses: { readonly from: string; readonly to: string } = { from: "10.77.0.1", to: "10.77.0.2" };
