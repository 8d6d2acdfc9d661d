import type { StorageAttributes, Volume } from "@vdc-os/core/storage/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  attach,
  blockOf,
  create,
  detach,
  namesOf,
  type StorageRequirement,
  type StorageTest,
  withProvider,
} from "./storage-instance.ts";

const reach =
  'Volume.accessibleHosts: "Hosts it can be attached to: attaching it to another fails with `FAILED_PRECONDITION`."';

/** A host that no instance has. */
const nowhere = "no-such-host";

/**
 * Fails unless a volume can be attached to exactly those of the two hosts that it tells, and an owner stays where it is when another host is refused.
 * The generation and the three after it must be free.
 */
async function mustKeepToHosts(test: StorageTest, { volumeId, name }: Volume, generation: number): Promise<void> {
  const { accessibleHosts: told } = await test.provider.getVolume({ volumeId }, test.operation());
  const { hosts } = test.instance;
  const within = hosts.filter((host) => told?.includes(host) !== false);
  for (const host of within)
    await detach(test, await attach(test, volumeId, generation + hosts.indexOf(host), { host }));
  const [home] = within;
  for (const host of hosts.filter((one) => !within.includes(one))) {
    const what = `attaching '${name}' on '${host}', which is none of ${told?.join(", ")},`;
    if (home === undefined) {
      await mustReject(attach(test, volumeId, generation, { host }), "FAILED_PRECONDITION", what);
      continue;
    }
    const present = await attach(test, volumeId, generation + 2, { host: home });
    const client = await test.instance.openTransport(present.transport);
    await mustReject(attach(test, volumeId, generation + 3, { host }), "FAILED_PRECONDITION", what);
    await client.write(0, blockOf(3));
    await client.flush();
    await client.close();
    const { attachment } = await test.provider.getAttachment({ volumeId }, test.operation());
    mustEqual(attachment?.host, home, `where '${name}' is attached when another host was refused`);
    await detach(test, present);
  }
}

/** Which hosts reach what. */
export const topologyRequirements: readonly StorageRequirement[] = [
  {
    id: "storage.topology.attach",
    title:
      "a volume for one host is attached there, and on another only if it tells that it can be; a refusal leaves its owner alone, also after a restart",
    clause: `${reach} CreateVolume.accessibleHosts: "Hosts it must be attachable to, all of them."`,
    level: "core",
    async run(test) {
      const [host, other] = test.instance.hosts;
      const made = await create(test, "disk", { accessibleHosts: [host] });
      must(
        made.accessibleHosts?.includes(host) !== false,
        `a volume for '${host}' must be reached from there, and tells ${made.accessibleHosts?.join(", ")}`,
      );
      await mustKeepToHosts(test, made, 1);
      const again = await create(test, "disk", { accessibleHosts: [host] });
      mustEqual(again.volumeId, made.volumeId, "the id of a repeated create for the same host");
      if (made.accessibleHosts?.includes(other) === false) {
        const conflict = create(test, "disk", { accessibleHosts: [other] });
        await mustReject(conflict, "ALREADY_EXISTS", "a create of the name for another host");
      }
      const after = withProvider(test, await test.wrap(await test.instance.reopen()));
      const { accessibleHosts } = await after.provider.getVolume({ volumeId: made.volumeId }, test.operation());
      mustEqual(accessibleHosts, made.accessibleHosts, "the hosts that a volume tells after a restart");
      await mustKeepToHosts(after, made, 11);
    },
  },
  {
    id: "storage.topology.create",
    title:
      "a volume for hosts that the pool does not reach is refused, and leaves nothing; what is made tells no host that the pool does not",
    clause:
      'CreateVolume.accessibleHosts: "Fails with `RESOURCE_EXHAUSTED` when no pool reaches them."; StorageAttributes.accessibleHosts: "The hosts that reach the pool. Absent when all do."',
    level: "core",
    async run(test) {
      const { accessibleHosts: reaching } = test.description.attributes as StorageAttributes;
      const [host] = test.instance.hosts;
      const before = await test.provider.capacity({}, test.operation());
      const call = create(test, "far", { accessibleHosts: [host, nowhere] });
      const far = await call.catch(() => undefined);
      if (far === undefined || reaching?.includes(nowhere) === false) {
        await mustReject(call, "RESOURCE_EXHAUSTED", `a volume for '${nowhere}', which the pool does not reach,`);
        mustEqual(await namesOf(test), [], "the names after a refused create");
        const { provisionedBytes } = await test.provider.capacity({}, test.operation());
        mustEqual(provisionedBytes, before.provisionedBytes, "what is promised after a refused create");
      } else {
        must(far.accessibleHosts?.includes(nowhere) !== false, `a volume for '${nowhere}' must tell that host`);
      }
      for (const [name, more] of [
        ["any", {}],
        ["near", { accessibleHosts: [host] }],
      ] as const) {
        const made = await create(test, name, more);
        const beyond = reaching && (made.accessibleHosts ?? [nowhere]).filter((one) => !reaching.includes(one));
        mustEqual(beyond ?? [], [], `the hosts that '${name}' tells, and the pool does not`);
        await mustKeepToHosts(test, made, 1);
      }
    },
  },
  {
    id: "storage.topology.clone",
    title: "a clone of a volume for one host is attached where it tells that it can be, and nowhere else",
    clause: reach,
    level: "core",
    facet: "clones",
    async run(test) {
      const [host] = test.instance.hosts;
      const { volumeId } = await create(test, "disk", { accessibleHosts: [host] });
      const source = { kind: "volume", volumeId } as const;
      const { volume } = await test
        .facet("clones")
        .cloneVolume({ name: "clone", source, want: "any" }, test.operation());
      await mustKeepToHosts(test, volume, 1);
    },
  },
  {
    id: "storage.topology.overlay",
    title: "an overlay of a volume for one host is attached where it tells that it can be, and nowhere else",
    clause: reach,
    level: "core",
    facet: "layering",
    async run(test) {
      const [host] = test.instance.hosts;
      const { volumeId } = await create(test, "disk", { accessibleHosts: [host] });
      const parent = { kind: "volume", volumeId } as const;
      const made = await test.facet("layering").createOverlay({ name: "overlay", parent }, test.operation());
      await mustKeepToHosts(test, made, 1);
    },
  },
];
