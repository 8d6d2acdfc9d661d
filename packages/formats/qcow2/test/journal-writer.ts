// Writes into an image until it is killed, and says of each write what it is about to be, and when it has returned. It flushes now and then.
import { writeSync } from "node:fs";
import { backingFolder, Qcow2Image } from "../src/index.ts";

const [path = "", folder = "", seed = "1", first = "1"] = process.argv.slice(2);
const image = await Qcow2Image.open(path, { journal: true, resolveBacking: backingFolder(folder), cacheBytes: 65_536 });
let state = Number(seed);
const next = (below: number): number => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
  return (state >>> 8) % below;
};
writeSync(1, "ready\n");
for (let value = Number(first); ; value = (value % 250) + 1) {
  const length = 4096 * (1 + next(next(8) === 0 ? 64 : 2));
  const offset = 4096 * next((image.sizeBytes - length) / 4096 + 1);
  const kind = next(12);
  writeSync(1, `begins ${offset} ${length} ${kind === 0 ? 0 : value}\n`);
  if (kind === 0) image.writeZeroesSync(offset, length);
  else image.writeSync(Buffer.alloc(length, value), offset);
  writeSync(1, "done\n");
  if (next(25) === 0) await (next(2) === 0 ? image.flush() : Promise.resolve(image.flushSync()));
  else if (next(6) === 0) await new Promise((resolve) => setImmediate(resolve));
}
