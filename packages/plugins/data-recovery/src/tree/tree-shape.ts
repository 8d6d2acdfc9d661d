import { hashBytes } from "../repository/blob.ts";

/** How many hashes a node has. */
export const fanOut: number = 256;
/** Bytes of a node: always all of its hashes. */
export const nodeBytes: number = fanOut * hashBytes;

/** How many chunks a disk has. The last one is filled up with zeroes. */
export function chunkCountOf(capacityBytes: number, chunkBytes: number): number {
  return Math.ceil(capacityBytes / chunkBytes);
}

/** How many levels of nodes a disk has: 1 when the root lists chunks. */
export function depthOf(chunkCount: number): number {
  let depth = 1;
  while (fanOut ** depth < chunkCount) depth++;
  return depth;
}
