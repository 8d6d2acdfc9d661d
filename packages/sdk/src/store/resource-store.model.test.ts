import { isVdcError } from "@vdc-os/core";
import { createTestRandom } from "@vdc-os/core/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { disk } from "../../test/disk-kind.ts";
import { MemoryState } from "../../test/memory-state-store.ts";
import { openPlane } from "../../test/open-plane.ts";
import { fieldsOf } from "../resource/field-path.ts";
import type { Resource } from "../resource/resource.ts";
import type { ResourceStore } from "./resource-store.ts";

/** A disk as the model knows it. */
interface ModelDisk {
  readonly uid: string;
  spec: { sizeBytes: number; format: string; limits: { iops: number; burst?: number }; host?: string };
  owners: Map<string, string>;
  generation: number;
  status: number | undefined;
  leaving: boolean;
}

type Code = string | undefined;
type Owner = "user" | "ha" | "appspeed";

interface Model {
  readonly disks: Map<string, ModelDisk>;
  readonly uids: Set<string>;
}

interface Real {
  readonly store: ResourceStore;
}

async function codeOf(work: () => Promise<unknown>): Promise<Code> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (!isVdcError(error)) throw error;
    return error.reason.startsWith(`VDC_${error.code}`) ? error.code : error.reason;
  }
}

const key = (name: string) => ({ tenant: "default", name });

abstract class Command implements fc.AsyncCommand<Model, Real> {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  check = (): boolean => true;
  abstract expected(model: Model): Code;
  abstract perform(real: Real): Promise<unknown>;
  abstract accept(model: Model, object: Resource | undefined): void;

  async run(model: Model, real: Real): Promise<void> {
    const expected = this.expected(model);
    expect(await codeOf(() => this.perform(real)), this.toString()).toBe(expected);
    const object = await real.store.find(disk, key(this.name));
    if (expected === undefined) this.accept(model, object);
    const known = model.disks.get(this.name);
    expect(object === undefined).toBe(known === undefined);
    if (object === undefined || known === undefined) return;
    expect(object.metadata.uid).toBe(known.uid);
    expect(object.spec).toEqual(known.spec);
    expect(object.status.sizeBytes).toBe(known.status);
    expect(object.metadata.generation).toBe(known.generation);
    expect(object.metadata.fieldOwners).toEqual(Object.fromEntries(known.owners));
    const fields = fieldsOf(object.spec as never);
    for (const path of Object.keys(object.metadata.fieldOwners)) expect(fields.has(path)).toBe(true);
  }
}

class Create extends Command {
  readonly size: number;
  constructor(name: string, size: number) {
    super(name);
    this.size = size;
  }
  override expected(model: Model): Code {
    const known = model.disks.get(this.name);
    if (known === undefined) return undefined;
    if (known.leaving) return "VDC_BEING_DELETED";
    const isHeld = (path: string): boolean => ![undefined, "user"].includes(known.owners.get(path));
    const asked = new Map<string, unknown>([
      ["/sizeBytes", this.size * 512],
      ["/limits/iops", 1000],
      ["/format", "qcow2"],
    ]);
    const there = fieldsOf(known.spec as never);
    for (const path of new Set([...asked.keys(), ...there.keys()])) {
      if (asked.get(path) !== there.get(path) && !isHeld(path)) return "ALREADY_EXISTS";
    }
    return undefined;
  }
  override perform({ store }: Real): Promise<unknown> {
    return store.create(disk, { name: this.name, spec: { sizeBytes: this.size * 512 } });
  }
  override accept(model: Model, object: Resource | undefined): void {
    if (model.disks.has(this.name) || object === undefined) return;
    const { uid } = object.metadata;
    expect(model.uids.has(uid)).toBe(false);
    model.uids.add(uid);
    model.disks.set(this.name, {
      uid,
      spec: { sizeBytes: this.size * 512, format: "qcow2", limits: { iops: 1000 } },
      owners: new Map([["/sizeBytes", "user"]]),
      generation: 1,
      status: undefined,
      leaving: false,
    });
  }
  override toString = (): string => `create ${this.name} ${this.size}`;
}

class Apply extends Command {
  readonly owner: Owner;
  readonly force: boolean;
  readonly fields: { readonly host?: string; readonly iops?: number; readonly burst?: number };
  constructor(name: string, owner: Owner, force: boolean, fields: Apply["fields"]) {
    super(name);
    this.owner = owner;
    this.force = force;
    this.fields = fields;
  }
  #values(): Map<string, string | number> {
    const { host, iops, burst } = this.fields;
    const values = new Map<string, string | number>();
    if (host !== undefined) values.set("/host", host);
    if (iops !== undefined) values.set("/limits/iops", iops);
    if (burst !== undefined) values.set("/limits/burst", burst);
    return values;
  }
  override expected(model: Model): Code {
    const known = model.disks.get(this.name);
    if (known === undefined) return "NOT_FOUND";
    if (known.leaving) return "VDC_BEING_DELETED";
    const there = fieldsOf(known.spec as never);
    for (const [path, value] of this.#values()) {
      const owner = known.owners.get(path);
      if (!this.force && owner !== undefined && owner !== this.owner && there.get(path) !== value)
        return "VDC_FIELD_CONFLICT";
    }
    return undefined;
  }
  override perform({ store }: Real): Promise<unknown> {
    const { host, iops, burst } = this.fields;
    const limits = { ...(iops !== undefined && { iops }), ...(burst !== undefined && { burst }) };
    const partial = { ...(host !== undefined && { host }), ...(Object.keys(limits).length > 0 && { limits }) };
    return store.apply(disk, key(this.name), partial, { fieldOwner: this.owner, force: this.force });
  }
  override accept(model: Model): void {
    const known = model.disks.get(this.name);
    if (known === undefined) return;
    const there = fieldsOf(known.spec as never);
    let changed = false;
    for (const [path, value] of this.#values()) {
      const differs = there.get(path) !== value;
      changed ||= differs;
      if (differs || !known.owners.has(path)) known.owners.set(path, this.owner);
    }
    const { host, iops, burst } = this.fields;
    if (host !== undefined) known.spec.host = host;
    if (iops !== undefined) known.spec.limits.iops = iops;
    if (burst !== undefined) known.spec.limits.burst = burst;
    if (changed) known.generation++;
  }
  override toString = (): string =>
    `apply ${this.name} by ${this.owner}${this.force ? "!" : ""} ${JSON.stringify(this.fields)}`;
}

class Status extends Command {
  readonly size: number;
  constructor(name: string, size: number) {
    super(name);
    this.size = size;
  }
  override expected = (model: Model): Code => (model.disks.has(this.name) ? undefined : "NOT_FOUND");
  override perform({ store }: Real): Promise<unknown> {
    return store.updateStatus(disk, key(this.name), { status: { sizeBytes: this.size } }, { observedGeneration: 1 });
  }
  override accept(model: Model): void {
    const known = model.disks.get(this.name);
    if (known !== undefined) known.status = this.size;
  }
  override toString = (): string => `status ${this.name} ${this.size}`;
}

class Delete extends Command {
  override expected = (model: Model): Code => (model.disks.has(this.name) ? undefined : "NOT_FOUND");
  override perform = ({ store }: Real): Promise<unknown> => store.delete(disk, key(this.name));
  override accept(model: Model): void {
    const known = model.disks.get(this.name);
    if (known === undefined || known.leaving) return;
    known.leaving = true;
    known.generation++;
  }
  override toString = (): string => `delete ${this.name}`;
}

class LetGo extends Command {
  override expected = (): Code => undefined;
  override perform({ store }: Real): Promise<unknown> {
    return store.find(disk, key(this.name)).then(async (object) => {
      // Only what is leaving: the finalizer of what stays is needed for its own deletion.
      if (object?.metadata.deletionRequestedAt === undefined) return;
      await store.removeFinalizer(disk, key(this.name), "test.disk");
    });
  }
  override accept(model: Model): void {
    if (model.disks.get(this.name)?.leaving) model.disks.delete(this.name);
  }
  override toString = (): string => `let go of ${this.name}`;
}

const name = fc.constantFrom("a", "b");
const size = fc.integer({ min: 1, max: 3 });
const commands = [
  fc.tuple(name, size).map(([n, s]) => new Create(n, s)),
  fc
    .tuple(
      name,
      fc.constantFrom<Owner>("user", "ha", "appspeed"),
      fc.boolean(),
      fc.record({ host: fc.constantFrom("h1", "h2"), iops: size, burst: size }, { requiredKeys: [] }),
    )
    .map(([n, owner, force, fields]) => new Apply(n, owner, force, fields)),
  fc.tuple(name, size).map(([n, s]) => new Status(n, s)),
  name.map((n) => new Delete(n)),
  name.map((n) => new LetGo(n)),
];

const runs = { seed: 20_260_102, numRuns: process.env.VDC_DEEP ? 3_000 : 150 };

test("the store does what its model does, and a watch tells what a list shows", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.commands(commands, { maxCommands: 40 }),
      fc.integer({ min: 0, max: 2 }),
      async (sequence, gaps) => {
        const state = new MemoryState();
        const { plane } = openPlane({ memory: state });
        const { store } = plane;
        await fc.asyncModelRun(
          () => ({ model: { disks: new Map(), uids: new Set<string>() }, real: { store } }),
          sequence,
        );
        const watched = new Map<string, Resource>();
        for (let gap = 0; gap < gaps; gap++) state.compact();
        const end = state.revision;
        // Something to be told last, of another tenant, so that the watch knows when it has heard everything.
        await store.create(disk, { tenant: "last", name: "last", spec: { sizeBytes: 512 } });
        for await (const event of store.watch(disk, { afterRevision: 0 })) {
          if (event.type === "resync") {
            expect(gaps).toBeGreaterThan(0);
            for (const object of (await store.list(disk, { tenant: "default" })).items)
              watched.set(object.metadata.name, object);
            break;
          }
          if (event.type === "deleted") watched.delete(event.key.name);
          else if (event.revision <= end) watched.set(event.object.metadata.name, event.object);
          else break;
        }
        const listed = (await store.list(disk, { tenant: "default" })).items;
        expect([...watched.values()].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))).toEqual(listed);
      },
    ),
    runs,
  );
});

test("concurrent writers: each accepted change is counted once, and nobody's field is lost", async () => {
  const change = fc.record({
    owner: fc.constantFrom<Owner>("user", "ha", "appspeed"),
    value: fc.integer({ min: 1, max: 1_000 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { maxLength: 12 }),
      fc.integer({ min: 0, max: 5 }),
      fc.integer(),
      async (changes, statuses, seed) => {
        // Two managers on one state store: nothing in memory may be what keeps them apart.
        const memory = new MemoryState();
        const connection = memory.connect(undefined, createTestRandom(seed));
        const stores = [1, 2].map((one) => openPlane({ memory, connection, seed: one }).plane.store) as [
          ResourceStore,
          ResourceStore,
        ];
        const [store] = stores;
        await store.create(disk, { name: "a", spec: { sizeBytes: 512 } });
        const fieldOf = { user: "sizeBytes", ha: "host", appspeed: "limits" } as const;
        const partialOf = ({ owner, value }: (typeof changes)[number]) =>
          ({ user: { sizeBytes: value * 512 }, ha: { host: `h-${value}` }, appspeed: { limits: { iops: value } } })[
            owner
          ];
        const accepted: ((typeof changes)[number] & { readonly revision: number })[] = [];
        await Promise.all([
          ...changes.map(async (one, index) => {
            const code = await codeOf(async () => {
              const writer = stores[index % 2] ?? store;
              const { object } = await writer.apply(disk, key("a"), partialOf(one), { fieldOwner: one.owner });
              accepted.push({ ...one, revision: object.metadata.revision });
            });
            // Only shrinking is refused: by validation, never because of another writer.
            expect([undefined, "VDC_ADMISSION_REFUSED"]).toContain(code);
          }),
          ...Array.from({ length: statuses }, (_, index) =>
            store.updateStatus(disk, key("a"), { status: { sizeBytes: index } }, { observedGeneration: 1 }),
          ),
        ]);
        const object = await store.get(disk, key("a"));
        for (const owner of ["user", "ha", "appspeed"] as const) {
          const last = accepted
            .filter((one) => one.owner === owner)
            .sort((a, b) => a.revision - b.revision)
            .at(-1);
          if (last !== undefined) expect(object.spec[fieldOf[owner]]).toEqual(partialOf(last)[fieldOf[owner] as never]);
        }
        expect(object.metadata.generation).toBeLessThanOrEqual(1 + accepted.length);
        // One task for each generation, and the create.
        expect(object.metadata.pendingTasks.length).toBeLessThanOrEqual(1 + accepted.length);
        expect(object.metadata.pendingTasks.length).toBeGreaterThanOrEqual(object.metadata.generation);
      },
    ),
    runs,
  );
});
