import { hashBytes } from "./blob.ts";
import type { IndexFile } from "./index-file.ts";

/** The records of several files in order of hash. Of one hash that several files have, the first file's stays. `keep` leaves out others. */
export function* mergeRecords(
  files: readonly IndexFile[],
  keep: (record: Buffer) => boolean = () => true,
): Generator<Buffer> {
  const streams = files.map((file) => file.records());
  const heads = streams.map((stream) => stream.next().value as Buffer | undefined);
  const last = Buffer.alloc(hashBytes);
  let any = false;
  for (;;) {
    let least = -1;
    for (let i = 0; i < heads.length; i++) {
      const head = heads[i];
      if (head === undefined) continue;
      const other = heads[least];
      if (other === undefined || head.compare(other, 0, hashBytes, 0, hashBytes) < 0) least = i;
    }
    const record = heads[least];
    if (record === undefined) return;
    const repeats = any && record.compare(last, 0, hashBytes, 0, hashBytes) === 0;
    if (!repeats && keep(record)) {
      record.copy(last, 0, 0, hashBytes);
      any = true;
      yield record;
    }
    heads[least] = streams[least]?.next().value as Buffer | undefined;
  }
}
