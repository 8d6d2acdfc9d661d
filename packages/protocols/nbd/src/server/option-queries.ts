import * as wire from "../wire/wire-constants.ts";

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The data of `INFO` and `GO`. */
export interface InfoQuery {
  /** Undefined when it is no name that an export could have. */
  readonly name: string | undefined;
  readonly wanted: ReadonlySet<number>;
}

/** The data of `LIST_META_CONTEXT` and `SET_META_CONTEXT`. */
export interface ContextQuery {
  readonly name: string;
  readonly queries: readonly string[];
}

/** A string of the protocol; undefined when it is too long or not UTF-8. */
export function decodeString(bytes: Buffer): string | undefined {
  if (bytes.length > wire.MAX_STRING_BYTES) return undefined;
  try {
    return DECODER.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Undefined when the lengths contradict each other. */
export function parseInfoQuery(data: Buffer): InfoQuery | undefined {
  const nameBytes = data.length >= 6 ? data.readUInt32BE(0) : -1;
  const countAt = 4 + nameBytes;
  if (nameBytes < 0 || countAt + 2 > data.length || data.length !== countAt + 2 + 2 * data.readUInt16BE(countAt)) {
    return undefined;
  }
  const wanted = new Set<number>();
  for (let at = countAt + 2; at < data.length; at += 2) wanted.add(data.readUInt16BE(at));
  return { name: decodeString(data.subarray(4, countAt)), wanted };
}

/** Undefined when the lengths contradict each other, or a string is none. */
export function parseContextQuery(data: Buffer): ContextQuery | undefined {
  let at = 0;
  const number = (): number => {
    at += 4;
    return at <= data.length ? data.readUInt32BE(at - 4) : Number.POSITIVE_INFINITY;
  };
  const text = (): string | undefined => {
    const length = number();
    at += length;
    return at <= data.length ? decodeString(data.subarray(at - length, at)) : undefined;
  };
  const name = text();
  if (name === undefined) return undefined;
  const queries: string[] = [];
  const count = number();
  // The data's end ends the loop long before a hostile count does.
  for (let index = 0; index < count; index++) {
    const query = text();
    if (query === undefined) return undefined;
    queries.push(query);
  }
  return at === data.length ? { name, queries } : undefined;
}
