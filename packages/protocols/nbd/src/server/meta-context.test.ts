import { beforeEach, describe, expect, test } from "vitest";
import { createSparseDisk } from "../../test/memory-disk.ts";
import { NbdPlace } from "../../test/nbd-place.ts";
import { contextQuery, type RawClient, takeChunks } from "../../test/raw-client.ts";
import type { DirtyExtent, NbdClient, NbdServer } from "../index.ts";
import * as wire from "../wire/wire-constants.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

const place = new NbdPlace();
let server: NbdServer;

beforeEach(async () => {
  server = await place.listen();
});

const open = (exportName: string, bitmaps: readonly string[] = []): Promise<NbdClient> =>
  place.open({ exportName, bitmaps });

async function raw(): Promise<RawClient> {
  const client = await place.raw();
  await client.option(wire.OPT_STRUCTURED_REPLY);
  return client;
}

describe("metadata contexts", () => {
  const nightly: readonly DirtyExtent[] = [
    { length: 64 * KIB, dirty: false },
    { length: 64 * KIB, dirty: true },
    { length: MIB - 128 * KIB, dirty: false },
  ];

  function from(extents: readonly DirtyExtent[], offset: number): DirtyExtent[] {
    let at = 0;
    return extents.flatMap(({ length, dirty }) => {
      const start = Math.max(at, offset);
      at += length;
      return at > start ? [{ length: at - start, dirty }] : [];
    });
  }

  beforeEach(() => {
    const bitmaps = () => [
      { name: "nightly", extents: (offset: number) => from(nightly, offset) },
      { name: "later", extents: async (offset: number) => from([{ length: MIB, dirty: true }], offset) },
      { name: "x".repeat(2000), extents: () => [] },
    ];
    server.addExport({ name: "d", backend: { ...createSparseDisk(), bitmaps } });
    server.addExport({ name: "bare", backend: { sizeBytes: 1, read: () => {}, write: () => {}, flush: () => {} } });
  });

  async function list(option: number, ...queries: readonly string[]): Promise<string[]> {
    const client = await raw();
    const replies = await client.option(option, contextQuery("d", ...queries));
    expect(replies.at(-1)?.type).toBe(wire.REP_ACK);
    return replies.slice(0, -1).map(({ data }) => `${data.readUInt32BE(0)} ${data.toString("utf8", 4)}`);
  }

  test("are listed by wildcard and selected by name alone", async () => {
    const bitmaps = ["0 qemu:dirty-bitmap:nightly", "0 qemu:dirty-bitmap:later"];
    const { OPT_LIST_META_CONTEXT: LIST, OPT_SET_META_CONTEXT: SET } = wire;
    expect(await list(LIST)).toEqual(["0 base:allocation", ...bitmaps]);
    expect(await list(LIST, "base:")).toEqual(["0 base:allocation"]);
    expect(await list(LIST, "qemu:")).toEqual(bitmaps);
    expect(await list(LIST, "qemu:dirty-bitmap:")).toEqual(bitmaps);
    expect(await list(LIST, "qemu:dirty-bitmap:later", "other:thing", "base:x")).toEqual(bitmaps.slice(1));
    expect(await list(SET)).toEqual([]);
    expect(await list(SET, "qemu:", "base:", "qemu:dirty-bitmap:")).toEqual([]);
    expect(await list(SET, "qemu:dirty-bitmap:later", "base:allocation")).toEqual([
      "1 base:allocation",
      "2 qemu:dirty-bitmap:later",
    ]);
  });

  test("are answered one chunk each, however they are computed", async () => {
    const client = await open("d", ["later", "nightly", "unknown"]);
    expect(client.bitmaps).toEqual(["nightly", "later"]);
    expect(await client.dirtyExtents("nightly", 0, MIB)).toEqual(nightly);
    expect(await client.dirtyExtents("nightly", 100 * KIB, 32 * KIB)).toEqual([
      { length: 28 * KIB, dirty: true },
      { length: 4 * KIB, dirty: false },
    ]);
    expect(await client.dirtyExtents("later", 0, MIB)).toEqual([{ length: MIB, dirty: true }]);
    expect((await client.extents(0, MIB))[0]).toEqual({ length: 4 * KIB, kind: "data" });
    await expect(client.dirtyExtents("unknown", 0, 1)).rejects.toMatchObject({ code: "NBD_UNSUPPORTED" });
  });

  test("REQ_ONE is answered with one extent for each", async () => {
    const client = await raw();
    await client.option(
      wire.OPT_SET_META_CONTEXT,
      contextQuery("d", "base:allocation", "qemu:dirty-bitmap:nightly", "qemu:dirty-bitmap:later"),
    );
    await client.go("d");
    const request = { type: wire.CMD_BLOCK_STATUS, offset: 0, length: MIB };
    client.request({ ...request, flags: wire.CMD_FLAG_REQ_ONE });
    const answer = await takeChunks(client);
    expect(
      answer.map(({ payload }) => [
        ...new Uint32Array(payload.swap32().buffer.slice(payload.byteOffset, payload.byteOffset + payload.length)),
      ]),
    ).toEqual([
      [1, 4 * KIB, 0],
      [2, 64 * KIB, 0],
      [3, MIB, 1],
    ]);
    expect(answer.map(({ isLast }) => isLast)).toEqual([false, false, true]);
  });

  test("that were selected for another export, or fail, are refused", async () => {
    const client = await raw();
    await client.option(wire.OPT_SET_META_CONTEXT, contextQuery("d", "base:allocation"));
    await client.go("bare");
    client.request({ type: wire.CMD_BLOCK_STATUS, offset: 0, length: 1 });
    expect((await takeChunks(client))[0]?.payload.readUInt32BE(0)).toBe(22);
    const failing = [{ name: "bad", extents: () => Promise.reject(new Error("no")) }];
    server.addExport({ name: "failing", backend: { ...createSparseDisk(), bitmaps: () => failing } });
    const ours = await open("failing", ["bad"]);
    await expect(ours.dirtyExtents("bad", 0, MIB)).rejects.toMatchObject({ errno: "EIO" });
    const broken = () => {
      throw new Error("the catalogue is gone");
    };
    server.addExport({ name: "broken", backend: { ...createSparseDisk(), bitmaps: broken } });
    expect((await open("broken")).canBlockStatus).toBe(false);
  });

  test("pass through a server that exports what its client is connected to", async () => {
    const inner = await open("d", ["nightly"]);
    server.addExport({ name: "again", backend: inner.asBackend() });
    const client = await open("again", ["nightly"]);
    expect(client).toMatchObject({ canTrim: true, canWriteZeroes: true, canFastZero: false, canCache: false });
    expect(await client.dirtyExtents("nightly", 0, MIB)).toEqual(nightly);
  });
});
