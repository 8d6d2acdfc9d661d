import fc from "fast-check";
import { expect, it } from "vitest";
import { type BlobHash, hashOf, zeroHash } from "../src/repository/blob.ts";
import { depthOf } from "../src/tree/tree-shape.ts";
import { type NodeStore, type TreeBase, TreeWriter } from "../src/tree/tree-writer.ts";
import { walkTree } from "../src/tree/walk-tree.ts";

function memoryStore(): NodeStore & { readonly nodes: Map<string, Buffer> } {
  const nodes = new Map<string, Buffer>();
  return {
    nodes,
    read(hash) {
      const node = nodes.get(hash.toString("hex"));
      if (node === undefined) throw new Error("no such node");
      return node;
    },
    async put(_kind, content) {
      const hash = hashOf(content);
      const isNew = !nodes.has(hash.toString("hex"));
      nodes.set(hash.toString("hex"), content);
      return { hash, storedBytes: isNew ? content.length : 0 };
    },
  };
}

function hashFor(value: number): BlobHash {
  return value === 0 ? zeroHash : hashOf(Buffer.from(`${value}`));
}

it("holds after any sequence of changes what was set, whatever it grew from and wherever it was interrupted", async () => {
  const change = fc.uniqueArray(fc.tuple(fc.nat(200_000), fc.nat(3)), { selector: ([chunk]) => chunk, maxLength: 60 });
  const round = fc.record({ change, count: fc.constantFrom(200, 256, 257, 70_000, 200_001), stopAt: fc.nat(60) });
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async (rounds) => {
      const store = memoryStore();
      const model = new Map<number, BlobHash>();
      let base: TreeBase | undefined;
      let chunkCount = 0;
      for (const { change: changes, count, stopAt } of rounds) {
        chunkCount = Math.max(chunkCount, count);
        const depth = depthOf(chunkCount);
        let tree = TreeWriter.begin(store, depth, base);
        const inOrder = changes.filter(([chunk]) => chunk < chunkCount).sort(([a], [b]) => a - b);
        for (const [i, [chunk, value]] of inOrder.entries()) {
          if (i === stopAt) tree = TreeWriter.resume(store, JSON.parse(JSON.stringify(tree.progress)));
          await tree.set(chunk, hashFor(value));
          if (value === 0) model.delete(chunk);
          else model.set(chunk, hashFor(value));
        }
        const root = await tree.finish();
        expect(tree.dataChunks).toBe(model.size);
        base = { root, depth, dataChunks: tree.dataChunks };
        const found = [...walkTree({ root, depth, chunkCount, read: (hash) => store.read(hash) })];
        expect(found.map(({ chunk }) => chunk)).toEqual([...model.keys()].sort((a, b) => a - b));
        for (const { chunk, hash } of found) expect(hash.equals(model.get(chunk) as Buffer)).toBe(true);
      }
    }),
    { seed: 5, numRuns: process.env.VDC_DEEP ? 2000 : 60 },
  );
});

it("writes for one changed chunk one node of each level, of a disk of 1 TiB too", async () => {
  const store = memoryStore();
  const chunkCount = 2 ** 24;
  const depth = depthOf(chunkCount);
  expect(depth).toBe(3);
  const tree = TreeWriter.begin(store, depth, undefined);
  for (let chunk = 0; chunk < chunkCount; chunk += 9973) await tree.set(chunk, hashFor(chunk + 1));
  const base = { root: await tree.finish(), depth, dataChunks: tree.dataChunks };
  const before = store.nodes.size;
  const next = TreeWriter.begin(store, depth, base);
  await next.set(chunkCount - 1, hashFor(7));
  await next.finish();
  expect(store.nodes.size - before).toBe(3);
});
