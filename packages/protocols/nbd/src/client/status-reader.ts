import * as wire from "../wire/wire-constants.ts";
import type { RequestPipeline } from "./request-pipeline.ts";
import { decodeStates, type NbdStateExtent } from "./status-extents.ts";
import { unsupported } from "./unsupported.ts";

/** The longest range of a request without payload that fits its field and stays aligned. */
export const MAX_RANGE_BYTES = 0x8000_0000;

/** Asks for block status in the metadata contexts that were granted. Ranges lie within the export: the caller has looked. */
export class StatusReader {
  readonly #pipeline: RequestPipeline;
  readonly #contextIds: ReadonlyMap<string, number>;

  constructor(pipeline: RequestPipeline, contextIds: ReadonlyMap<string, number>) {
    this.#pipeline = pipeline;
    this.#contextIds = contextIds;
  }

  /** What one reply says: at least one extent, perhaps not the whole range. Fails with `NBD_UNSUPPORTED` for a context that was not granted. */
  async read(
    context: string,
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
  ): Promise<NbdStateExtent[]> {
    const id = this.#contextIds.get(context);
    if (id === undefined) throw unsupported(`block status for '${context}'`);
    if (length === 0) return [];
    const asked = Math.min(length, MAX_RANGE_BYTES);
    const payload = (await this.#pipeline.send({ command: wire.CMD_BLOCK_STATUS, offset, length: asked, signal }))?.get(
      id,
    );
    const extents = payload && decodeStates(payload, asked);
    if (!extents) throw this.#pipeline.broken("a block status that is malformed or of another context");
    return extents;
  }

  /** The whole range, in as many replies as it takes; neighbours that are alike are one extent. */
  async readAll(
    context: string,
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
  ): Promise<NbdStateExtent[]> {
    const all: NbdStateExtent[] = [];
    for (let at = offset; at < offset + length; ) {
      for (const extent of await this.read(context, at, offset + length - at, signal)) {
        at += extent.length;
        const last = all.at(-1);
        if (last?.state === extent.state) all[all.length - 1] = { ...last, length: last.length + extent.length };
        else all.push(extent);
      }
    }
    return all;
  }
}
