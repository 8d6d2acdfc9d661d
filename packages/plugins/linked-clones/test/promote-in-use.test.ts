import { createOperationContext } from "@vdc-os/core";
import { connectTo, createTestPool, mib } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import fc from "fast-check";
import { expect, it } from "vitest";
import { handlesOn, openOn } from "./over-base.ts";

const context = createOperationContext();
const deep = process.env.VDC_DEEP !== undefined;
const capacityBytes = 32 * mib;
const blockBytes = 4096;

/** What is written and read meanwhile, over and over. */
const accesses = fc.array(
  fc.record({
    kind: fc.constantFrom("write", "write", "read", "flush"),
    block: fc.nat(capacityBytes / blockBytes - 17),
    blocks: fc.integer({ min: 1, max: 16 }),
    value: fc.integer({ min: 1, max: 255 }),
  }),
  { minLength: 8, maxLength: 40 },
);

it.each(["flatten", "promote"] as const)(
  "%s while the clone is written and read: each byte is right, and the deleted parent goes",
  async (verb) => {
    await fc.assert(
      fc.asyncProperty(accesses, async (list) => {
        await using test = await createTestPool("here");
        await using handles = await handlesOn(test.provider);
        const provider = await openOn(handles);
        const { clones, lineage } = provider.facets;
        const parent = await provider.createVolume({ name: "parent", capacityBytes }, context);
        const attach = async (volumeId: string, generation: number) => {
          const input = { volumeId, host: "host-a", access: "readWrite", generation } as const;
          const attachment = await provider.attachVolume(input, context);
          return { attachment, client: await connectTo(attachment) };
        };
        const model = Buffer.alloc(capacityBytes);
        const first = await attach(parent.volumeId, 1);
        for (let at = 0; at < capacityBytes; at += 2 * mib) {
          model.fill(1 + at / mib, at, at + mib);
          await first.client.write(model.subarray(at, at + mib), at);
        }
        await first.client.close();
        await provider.detachVolume(first.attachment, context);
        const source = { kind: "volume", volumeId: parent.volumeId } as const;
        const { volume } = await clones.cloneVolume({ name: "clone", source, want: "linked" }, context);
        const { volumeId } = volume;
        await provider.deleteVolume({ volumeId: parent.volumeId }, context);

        const { attachment, client } = await attach(volumeId, 1);
        let isDone = false;
        const work = lineage[verb]({ volumeId }, context).finally(() => {
          isDone = true;
        });
        // Once through at least, and until the copying is over.
        for (let round = 0; round === 0 || !isDone; round++) {
          for (const { kind, block, blocks, value } of list) {
            const [offset, length] = [block * blockBytes, blocks * blockBytes];
            if (kind === "flush") await client.flush();
            else if (kind === "write") {
              model.fill((value + round) % 256, offset, offset + length);
              await client.write(model.subarray(offset, offset + length), offset);
            } else {
              const found = Buffer.alloc(length);
              await client.read(found, offset);
              expect(found.equals(model.subarray(offset, offset + length))).toBe(true);
            }
          }
        }
        await work;
        const whole = Buffer.alloc(capacityBytes);
        await client.read(whole, 0);
        expect(whole.equals(model)).toBe(true);
        await client.close();
        await provider.detachVolume(attachment, context);
        expect(await lineage.getLineage({ volumeId }, context)).toMatchObject({ depth: 1, children: [] });
        expect((await test.provider.listVolumes({}, context)).items.map((only) => only.volumeId)).toEqual([volumeId]);
        const again = await attach(volumeId, 2);
        await again.client.read(whole.fill(0), 0);
        expect(whole.equals(model)).toBe(true);
        await again.client.close();
        await provider.detachVolume(again.attachment, context);
        await provider.close();
      }),
      { seed: 7, numRuns: deep ? 40 : 2, endOnFailure: true },
    );
  },
  deep ? 1_800_000 : 120_000,
);
