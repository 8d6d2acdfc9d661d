import { expect, it } from "vitest";
import { hasQemu, qemuCheck } from "./qemu-tools.ts";
import { connectTo, context, createTestPool, mib } from "./test-pool.ts";

it("answers ENOSPC to the write that finds no space, and keeps what was acknowledged", async () => {
  await using test = await createTestPool("full", { outOfSpace: "fail" });
  const { volumeId } = await test.provider.createVolume({ name: "disk", capacityBytes: 16 * mib }, context());
  const attach = { volumeId, host: "host-a", access: "readWrite", generation: 1 } as const;
  const client = await connectTo(await test.provider.attachVolume(attach, context()));
  const acknowledged: number[] = [];
  let refused: unknown;
  for (let block = 0; block < 256 && refused === undefined; block++) {
    try {
      await client.write(Buffer.alloc(65_536, block % 250), block * 65_536);
      acknowledged.push(block);
    } catch (error) {
      refused = error;
    }
  }
  expect(refused).toMatchObject({ errno: "ENOSPC" });
  expect(acknowledged.length).toBeGreaterThan(16);
  await client.flush();
  // What needs no new space goes on.
  await client.write(Buffer.alloc(65_536, 251), 0);
  await client.flush();
  for (const block of acknowledged) {
    const data = Buffer.alloc(65_536);
    await client.read(data, block * 65_536);
    expect(data.every((byte) => byte === (block === 0 ? 251 : block % 250))).toBe(true);
  }
  await client.close();
  await test.provider.detachVolume(attach, context());
  if (hasQemu) qemuCheck(test.pool.layout.image(volumeId), { allowLeaks: true });
});
