import { isVdcError } from "@vdc-os/core";
import type { Attachment } from "@vdc-os/core/storage/v1";
import { giveUpAtEveryStep } from "../suite/give-up.ts";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { patiently } from "../suite/patience.ts";
import { strangeIds } from "../suite/strange-ids.ts";
import {
  attach,
  create,
  detach,
  mib,
  mustHold,
  namesOf,
  type StorageRequirement,
  whileWritten,
  writeBlocks,
} from "./storage-instance.ts";

/** Fails unless a call fails in a way that says the caller asked for what is not there. */
async function mustNotFind(call: Promise<unknown>, what: string): Promise<void> {
  await mustReject(call, ["NOT_FOUND", "INVALID_ARGUMENT"], what);
}

/** What a change fails with that finds the volume busy with one that was given up. */
const codes = ["ABORTED"] as const;

/** Hostile input, callers that give up, and callers that all come at once. */
export const robustnessRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.hostile.ids",
    title: "an id that was never given out is not found, whatever is in it, and touches nothing",
    clause: "Volume.volumeId: The provider's id, opaque to others. Errors NOT_FOUND",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const { provider } = test;
      const [host] = test.instance.hosts;
      for (const strange of strangeIds) {
        const ref = { volumeId: strange };
        await mustNotFind(provider.getVolume(ref, test.operation()), `getVolume of '${strange}'`);
        await mustNotFind(attach(test, strange, 1), `attachVolume of '${strange}'`);
        await mustNotFind(provider.getAttachment(ref, test.operation()), `getAttachment of '${strange}'`);
        await mustNotFind(provider.revokeAttachment({ ...ref, generation: 1 }, test.operation()), "revokeAttachment");
        await absentSucceeds(provider.deleteVolume(ref, test.operation()), `deleteVolume of '${strange}'`);
        await absentSucceeds(provider.detachVolume({ ...ref, host, generation: 1 }, test.operation()), "detachVolume");
      }
      mustEqual(await namesOf(test), ["disk"], "the names afterwards");
      await mustHold(test, volumeId, 1, { 0: 0 });
    },
  },
  {
    id: "storage.hostile.names",
    title: "every name that the contract allows can be a volume's, and comes back as it was",
    clause: "CreateVolume.name: 1 to 63 lower-case letters, digits, `-` and `.`",
    level: "core",
    async run(test) {
      const names = ["0", "a..b", "a.lock", "con", "disk.json", "disk.qcow2", "disk.raw", "tmp", "x".repeat(63)].sort();
      for (const name of names) {
        const made = await create(test, name, { capacityBytes: mib });
        mustEqual(made.name, name, "a volume's name");
        const again = await create(test, name, { capacityBytes: mib });
        mustEqual(again.volumeId, made.volumeId, `the id of a repeated create of '${name}'`);
      }
      mustEqual(await namesOf(test), names, "the names");
      for (const { volumeId } of (await test.provider.listVolumes({}, test.operation())).items) {
        await test.provider.deleteVolume({ volumeId }, test.operation());
      }
      mustEqual(await namesOf(test), [], "the names after all were deleted");
    },
  },
  {
    id: "storage.hostile.sizes",
    title: "a size of nothing, or of more than there can be, is refused and leaves nothing",
    clause: "CreateVolume.capacityBytes: More than 0; a size it can't have at all fails with `OUT_OF_RANGE`",
    level: "core",
    async run(test) {
      for (const capacityBytes of [0, 2 ** 53 - 1, 2 ** 53 - 4096]) {
        const call = create(test, "disk", { capacityBytes });
        await mustReject(
          call,
          ["OUT_OF_RANGE", "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"],
          `a volume of ${capacityBytes} bytes`,
        );
        mustEqual(await namesOf(test), [], `the names after a refused volume of ${capacityBytes} bytes`);
      }
      const { volumeId, capacityBytes } = await create(test, "disk");
      if (test.description.facets.resize?.status === "available") {
        for (const size of [0, 2 ** 53 - 1]) {
          const call = test
            .facet("resize")
            .resizeVolume({ volumeId, capacityBytes: size, allowShrink: true }, test.operation());
          await mustReject(
            call,
            ["OUT_OF_RANGE", "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"],
            `a resize to ${size} bytes`,
          );
        }
      }
      mustEqual(
        (await test.provider.getVolume({ volumeId }, test.operation())).capacityBytes,
        capacityBytes,
        "the size",
      );
      await mustHold(test, volumeId, 1, { 0: 0 });
    },
  },
  {
    id: "storage.hostile.tokens",
    title: "a page token that was made up is refused",
    clause: "PageRequest.pageToken: A token that is unknown or too old fails with `ABORTED`",
    level: "core",
    async run(test) {
      await create(test, "disk");
      for (const pageToken of ["", "0", "-1", "disk", "e30=", "{}", "null", "\u0000", "x".repeat(1024)]) {
        const call = test.provider.listVolumes({ pageToken }, test.operation());
        await mustReject(call, ["ABORTED", "INVALID_ARGUMENT"], `page token '${pageToken.slice(0, 40)}'`);
      }
    },
  },
  {
    id: "storage.cancel.create",
    title: "a create that is given up at any moment is whole or not there, and a repeat completes it",
    clause:
      "A caller that cancels gets `CANCELLED`. What it had asked for is then whole or not there at all, and a repeat finds out which.",
    level: "core",
    async run(test) {
      let made = 0;
      const nameOf = (step: number): string => `disk-${String(step).padStart(2, "0")}`;
      await giveUpAtEveryStep(test, {
        what: "a create",
        codes,
        call: (operation, step) => test.provider.createVolume({ name: nameOf(step), capacityBytes: mib }, operation),
        async look(step) {
          const name = nameOf(step);
          const { volumeId } = await patiently(() => create(test, name, { capacityBytes: mib }));
          made += 1;
          const found = (await namesOf(test)).filter((other) => other === name);
          mustEqual(found, [name], `the volumes of the name '${name}'`);
          await writeBlocks(test, volumeId, 1, { 0: 1, 255: 1 });
          await mustHold(test, volumeId, 2, { 0: 1, 1: 0, 255: 1 });
        },
      });
      const { provisionedBytes } = await test.provider.capacity({}, test.operation());
      mustEqual(provisionedBytes, made * mib, "what is promised: each volume once");
    },
  },
  {
    id: "storage.cancel.delete",
    title: "a delete that is given up at any moment leaves the volume whole or gone, and a repeat completes it",
    clause: "A caller that cancels gets `CANCELLED`. What it had asked for is then whole or not there at all",
    level: "core",
    async run(test) {
      const begin = async (): Promise<string> => {
        const { volumeId } = await create(test, "disk");
        await writeBlocks(test, volumeId, 1, { 0: 7 });
        return volumeId;
      };
      let volumeId = await begin();
      await giveUpAtEveryStep(test, {
        what: "a delete",
        codes,
        call: (operation) => test.provider.deleteVolume({ volumeId }, operation),
        async look() {
          await patiently(() => test.provider.deleteVolume({ volumeId }, test.operation()));
          mustEqual(await namesOf(test), [], "the names after a repeated delete");
          volumeId = await begin();
        },
      });
    },
  },
  {
    id: "storage.cancel.attach",
    title: "an attach that is given up at any moment leaves an attachment that can be repeated or replaced",
    clause: "AttachVolume.generation: equal to that of the present one repeats the call",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const host = test.instance.hosts[0];
      const inputOf = (step: number) => ({ volumeId, host, access: "readWrite", generation: 2 * step + 1 }) as const;
      await giveUpAtEveryStep(test, {
        what: "an attach",
        codes,
        call: (operation, step) => test.provider.attachVolume(inputOf(step), operation),
        async look(step) {
          const { generation } = inputOf(step);
          // One that was seen and not made is fenced by now: the next owner has the next generation.
          const repeat = await patiently(() => attach(test, volumeId, generation)).catch((error: unknown) => error);
          const fenced = repeat instanceof Error;
          must(
            !fenced || isVdcError(repeat, "FAILED_PRECONDITION"),
            `a repeated attach must succeed or be fenced: ${String(repeat)}`,
          );
          const attachment = fenced ? await attach(test, volumeId, generation + 1) : (repeat as Attachment);
          await detach(test, attachment);
        },
      });
      await whileWritten(test, volumeId, 100, (client) => client.flush());
    },
  },
  {
    id: "storage.concurrent.changes",
    title: "changes of one volume that come all at once leave it in one state that is known",
    clause: "One call at a time changes a volume; a second one fails with `ABORTED`, and the caller tries again.",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const [a, b] = test.instance.hosts;
      const generations = [1, 2, 3, 4, 5, 6];
      const calls = await Promise.allSettled(
        generations.map((generation) => attach(test, volumeId, generation, { host: generation % 2 === 0 ? a : b })),
      );
      const made: number[] = [];
      for (const [index, call] of calls.entries()) {
        if (call.status === "fulfilled") made.push(generations[index] as number);
        else await mustReject(Promise.reject(call.reason), ["ABORTED", "FAILED_PRECONDITION"], "one of many attaches");
      }
      const { attachment } = await test.provider.getAttachment({ volumeId }, test.operation());
      mustEqual(
        attachment?.generation,
        Math.max(...made),
        "the attachment: of the highest generation that was given out",
      );
      if (attachment !== undefined) await detach(test, attachment);
      await writeBlocks(test, volumeId, 10, { 0: 1 });
      await mustHold(test, volumeId, 11, { 0: 1 });
    },
  },
  {
    id: "storage.concurrent.deletes",
    title: "many deletes of one volume at once delete it once, and creates of its name meanwhile make one",
    clause: "One call at a time changes a volume; deletes are idempotent by absence; name: unique in the provider",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const deletes = Array.from({ length: 4 }, () => test.provider.deleteVolume({ volumeId }, test.operation()));
      const creates = Array.from({ length: 4 }, () => create(test, "disk", { capacityBytes: 8 * mib }));
      const [deleted, created] = await Promise.all([Promise.allSettled(deletes), Promise.allSettled(creates)]);
      for (const call of deleted) {
        if (call.status === "rejected") await mustReject(Promise.reject(call.reason), "ABORTED", "a concurrent delete");
      }
      for (const call of created) {
        // Before the delete the name is taken by a smaller one.
        if (call.status === "rejected") {
          await mustReject(Promise.reject(call.reason), ["ABORTED", "ALREADY_EXISTS"], "a concurrent create");
        }
      }
      await patiently(() => test.provider.deleteVolume({ volumeId }, test.operation()));
      const made = await create(test, "disk", { capacityBytes: 8 * mib });
      must(made.volumeId !== volumeId, "an id must never be used again");
      mustEqual(await namesOf(test), ["disk"], "the names");
      await mustHold(test, made.volumeId, 1, { 0: 0, 2047: 0 });
    },
  },
];

async function absentSucceeds(call: Promise<unknown>, what: string): Promise<void> {
  try {
    await call;
  } catch (error) {
    await mustReject(Promise.reject(error), "INVALID_ARGUMENT", what);
  }
}
