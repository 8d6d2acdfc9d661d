import { isVdcError } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  blockOf,
  create,
  detach,
  fences,
  mustBeCutOff,
  mustHold,
  mustNotConnect,
  mustRead,
  type StorageRequirement,
  type StorageTest,
  writeBlocks,
} from "./storage-instance.ts";

async function mustBeFenced(call: Promise<unknown>, what: string): Promise<void> {
  const error = await mustReject(call, "FAILED_PRECONDITION", what);
  mustEqual(isVdcError(error) && error.reason, "VDC_FENCED", `the reason of ${what}`);
}

async function attachmentOf(test: StorageTest, volumeId: string) {
  return (await test.provider.getAttachment({ volumeId }, test.operation())).attachment;
}

const needsFencing = (test: StorageTest): void => {
  if (!fences(test)) test.notApplicable("the provider says that it keeps no old owner out");
};

/** Attaching, and keeping the old owner out. */
export const attachmentRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.attach.data",
    title: "the owner reads what it wrote, and so does the next one",
    clause: "attachVolume: Makes the volume reachable on a host for its owner.",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const attachment = await attach(test, volumeId, 1);
      const client = await test.instance.openTransport(attachment.transport);
      await client.write(0, blockOf(1));
      await client.write(1023 * 4096, blockOf(2));
      await mustRead(client, { 0: 1, 1: 0, 1023: 2 });
      await client.flush();
      await client.close();
      await detach(test, attachment);
      await mustHold(test, volumeId, 2, { 0: 1, 1: 0, 1023: 2 });
    },
  },
  {
    id: "storage.attach.idempotent",
    title: "attaching in the present generation again returns the same, and cuts nobody off",
    clause: "AttachVolume.generation: equal to that of the present one repeats the call",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const first = await attach(test, volumeId, 3);
      const client = await test.instance.openTransport(first.transport);
      mustEqual(await attach(test, volumeId, 3), first, "a repeated attach");
      mustEqual(await attachmentOf(test, volumeId), first, "the present attachment");
      await client.write(0, blockOf(1));
      await client.close();
      const { host, access, generation } = first;
      mustEqual(
        { host, access, generation },
        { host: test.instance.hosts[0], access: "readWrite", generation: 3 },
        "the attachment",
      );
    },
  },
  {
    id: "storage.attach.otherwise",
    title: "the present generation can't be attached in another way",
    clause: "AttachVolume.generation: Higher than that of any attachment before; each object has exactly one owner",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const first = await attach(test, volumeId, 1);
      const other = attach(test, volumeId, 1, { host: test.instance.hosts[1] });
      await mustReject(other, "FAILED_PRECONDITION", "the same generation on another host");
      mustEqual(await attachmentOf(test, volumeId), first, "the attachment after a refused one");
    },
  },
  {
    id: "storage.attach.older",
    title: "a lower generation than one seen before is fenced, also after a detach",
    clause: "attachVolume: A lower generation than one seen before is fenced (FAILED_PRECONDITION, VDC_FENCED)",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const present = await attach(test, volumeId, 5);
      await mustBeFenced(attach(test, volumeId, 4), "an attach of a lower generation");
      await detach(test, present);
      await mustBeFenced(attach(test, volumeId, 4), "an attach of a lower generation after a detach");
      await attach(test, volumeId, 6);
    },
  },
  {
    id: "storage.attach.takeover",
    title: "a higher generation takes over: what the old owner had acknowledged is there, and it can't write any more",
    clause: "attachVolume: a higher one takes over, after the old owner is cut off",
    level: "core",
    async run(test) {
      needsFencing(test);
      const { volumeId } = await create(test, "disk");
      const old = await attach(test, volumeId, 1);
      const oldClient = await test.instance.openTransport(old.transport);
      await oldClient.write(0, blockOf(1));
      await oldClient.flush();
      const next = await attach(test, volumeId, 2, { host: test.instance.hosts[1] });
      await mustBeCutOff(oldClient, "the old owner");
      await oldClient.close();
      await mustNotConnect(test, old.transport, "the old owner, connected again");
      const client = await test.instance.openTransport(next.transport);
      await mustRead(client, { 0: 1 });
      await client.write(0, blockOf(2));
      await client.close();
    },
  },
  {
    id: "storage.attach.read-only",
    title: "a read-only owner can't write",
    clause: "AccessMode: readWrite, readOnly",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await writeBlocks(test, volumeId, 1, { 0: 5 });
      const { transport } = await attach(test, volumeId, 2, { access: "readOnly" });
      const client = await test.instance.openTransport(transport);
      await mustRead(client, { 0: 5 });
      await mustBeCutOff(client, "a read-only owner");
      await client.close();
    },
  },
  {
    id: "storage.detach.ends",
    title: "after a detach nobody has the volume, and its old owner can't write",
    clause: "detachVolume: Ends the attachment of that generation.",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const attachment = await attach(test, volumeId, 1);
      const client = await test.instance.openTransport(attachment.transport);
      await detach(test, attachment);
      mustEqual(await attachmentOf(test, volumeId), undefined, "the attachment after a detach");
      if (fences(test)) await mustBeCutOff(client, "an owner that was detached");
      await client.close();
      await test.provider.deleteVolume({ volumeId }, test.operation());
    },
  },
  {
    id: "storage.detach.absent",
    title: "ending an attachment that is absent, older or elsewhere succeeds and changes nothing",
    clause: "detachVolume: An absent or older one is a success and changes nothing.",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const [host, other] = test.instance.hosts;
      await test.provider.detachVolume({ volumeId, host, generation: 1 }, test.operation());
      await test.provider.detachVolume({ volumeId: "never-was", host, generation: 1 }, test.operation());
      const present = await attach(test, volumeId, 2);
      await test.provider.detachVolume({ volumeId, host, generation: 1 }, test.operation());
      await test.provider.detachVolume({ volumeId, host: other, generation: 2 }, test.operation());
      mustEqual(await attachmentOf(test, volumeId), present, "the attachment after detaches of others");
      const client = await test.instance.openTransport(present.transport);
      await client.write(0, blockOf(1));
      await client.close();
    },
  },
  {
    id: "storage.revoke.cuts",
    title: "after a revoke the owner can't write, and what it had flushed is there",
    clause: "revokeAttachment: When it returns, no older write can reach the volume any more.",
    level: "core",
    async run(test) {
      needsFencing(test);
      const { volumeId } = await create(test, "disk");
      const { transport } = await attach(test, volumeId, 4);
      const client = await test.instance.openTransport(transport);
      await client.write(0, blockOf(1));
      await client.flush();
      await test.provider.revokeAttachment({ volumeId, generation: 4 }, test.operation());
      await mustBeCutOff(client, "a revoked owner");
      await client.close();
      await mustNotConnect(test, transport, "a revoked owner, connected again");
      await mustHold(test, volumeId, 5, { 0: 1 });
    },
  },
  {
    id: "storage.revoke.refuses",
    title: "nothing up to the revoked generation is attached any more; what is above is",
    clause: "revokeAttachment: Cuts off every owner up to and including this generation",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      await test.provider.revokeAttachment({ volumeId, generation: 7 }, test.operation());
      await test.provider.revokeAttachment({ volumeId, generation: 3 }, test.operation());
      await mustBeFenced(attach(test, volumeId, 4), "an attach below a revoked generation");
      await mustBeFenced(attach(test, volumeId, 7), "an attach of the revoked generation");
      mustEqual((await attach(test, volumeId, 8)).generation, 8, "the generation above the revoked one");
    },
  },
  {
    id: "storage.revoke.newer",
    title: "revoking an older generation leaves the present owner alone",
    clause: "revokeAttachment: Cuts off every owner up to and including this generation",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const present = await attach(test, volumeId, 5);
      const client = await test.instance.openTransport(present.transport);
      await test.provider.revokeAttachment({ volumeId, generation: 4 }, test.operation());
      await client.write(0, blockOf(1));
      await client.close();
      mustEqual(await attachmentOf(test, volumeId), present, "the attachment after a revoke of an older one");
    },
  },
  {
    id: "storage.revoke.restart",
    title: "a revoked owner stays out after the provider was killed and opened again",
    clause: "revokeAttachment: persists the high-water mark, then refuses everything older, also after a restart",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const { transport } = await attach(test, volumeId, 3);
      await test.provider.revokeAttachment({ volumeId, generation: 5 }, test.operation());
      const provider = await test.wrap(await test.instance.reopen());
      await mustBeFenced(
        attach(test, volumeId, 5, { provider }),
        "an attach of the revoked generation after a restart",
      );
      if (fences(test)) await mustNotConnect(test, transport, "a revoked owner after a restart");
      await attach(test, volumeId, 6, { provider });
    },
  },
  {
    id: "storage.attach.restart",
    title: "an attachment is known, and can be ended, after the provider was killed and opened again",
    clause: "getAttachment: The present attachment of a volume; whatever was acknowledged survives `kill -9`",
    level: "core",
    async run(test) {
      const { volumeId } = await create(test, "disk");
      const present = await attach(test, volumeId, 3);
      const provider = await test.wrap(await test.instance.reopen());
      const { attachment } = await provider.getAttachment({ volumeId }, test.operation());
      mustEqual(attachment, present, "the attachment after a restart");
      const { host, generation } = present;
      await provider.detachVolume({ volumeId, host, generation }, test.operation());
      await provider.deleteVolume({ volumeId }, test.operation());
      must(
        (await provider.listVolumes({}, test.operation())).items.length === 0,
        "a volume that was detached after a restart must be deleted",
      );
    },
  },
];
