import { isVdcError, type VdcError } from "@vdc-os/core";
import { describe, expect, test } from "vitest";
import { disk, type DiskInput } from "../../test/disk-kind.ts";
import { openPlane } from "../../test/open-plane.ts";
import { dependentsFinalizer } from "./resource-change.ts";
import { ownedBy } from "../resource/resource.ts";

const gib = 2 ** 30;
const key = { tenant: "default", name: "a" };
const spec: DiskInput = { sizeBytes: gib };

async function failure(work: Promise<unknown>): Promise<VdcError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isVdcError(error)) throw new Error(`no VdcError but ${String(error)}`);
  return error;
}

describe("create", () => {
  test("fills in defaults, and says who wrote what", async () => {
    const { store } = openPlane().plane;
    const { object, created, task } = await store.create(disk, { name: "a", spec, labels: { zone: "x" } });
    expect(created).toBe(true);
    expect(task.state).toBe("accepted");
    expect(object).toMatchObject({
      kind: "Disk",
      apiVersion: "v1",
      spec: { sizeBytes: gib, format: "qcow2", limits: { iops: 1000 } },
      status: {},
      conditions: [],
      metadata: {
        name: "a",
        tenant: "default",
        labels: { zone: "x" },
        generation: 1,
        observedGeneration: 0,
        finalizers: ["test.disk"],
        fieldOwners: { "/sizeBytes": "user" },
        pendingTasks: [{ id: task.id, action: "create", generation: 1 }],
      },
    });
    expect(await store.get(disk, key)).toEqual(object);
  });

  test("is idempotent by name while the spec is equal after defaults", async () => {
    const { store } = openPlane().plane;
    const first = await store.create(disk, { name: "a", spec });
    const again = await store.create(disk, { name: "a", spec: { ...spec, format: "qcow2", limits: {} } });
    expect(again.created).toBe(false);
    expect(again.object).toEqual(first.object);
    expect(again.task.id).toBe(first.task.id);
    expect(await failure(store.create(disk, { name: "a", spec: { sizeBytes: 2 * gib } }))).toMatchObject({
      code: "ALREADY_EXISTS",
    });
  });

  test("stays idempotent after another owner has changed fields of its own", async () => {
    const { store } = openPlane().plane;
    await store.create(disk, { name: "a", spec });
    await store.apply(disk, key, { host: "host-2", limits: { iops: 5000 } }, { fieldOwner: "ha" });
    expect((await store.create(disk, { name: "a", spec })).object.spec.host).toBe("host-2");
    await store.update(disk, key, { sizeBytes: 2 * gib });
    expect(await failure(store.create(disk, { name: "a", spec }))).toMatchObject({ code: "ALREADY_EXISTS" });
  });

  test("of one name by many at once makes one object", async () => {
    const { store } = openPlane().plane;
    const all = await Promise.all(Array.from({ length: 20 }, () => store.create(disk, { name: "a", spec })));
    expect(all.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(all.map(({ object }) => object.metadata.uid)).size).toBe(1);
    expect(new Set(all.map(({ task }) => task.id)).size).toBe(1);
  });

  test("after a deletion takes the name anew, with another uid", async () => {
    const { store } = openPlane().plane;
    const first = await store.create(disk, { name: "a", spec });
    await store.delete(disk, key);
    expect(await failure(store.create(disk, { name: "a", spec }))).toMatchObject({
      code: "ABORTED",
      reason: "VDC_BEING_DELETED",
      retryable: true,
    });
    await store.removeFinalizer(disk, key, "test.disk");
    expect(await store.find(disk, key)).toBeUndefined();
    const second = await store.create(disk, { name: "a", spec: { sizeBytes: 512 } });
    expect(second.object.metadata.uid).not.toBe(first.object.metadata.uid);
    await expect(
      store.updateStatus(disk, key, {}, { observedGeneration: 1, ifUid: first.object.metadata.uid }),
    ).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("refuses names that are none", async () => {
    const { store } = openPlane().plane;
    for (const name of ["", "A", "a/b", "-a", "a".repeat(64)]) {
      expect((await failure(Promise.resolve().then(() => store.create(disk, { name, spec })))).code).toBe(
        "INVALID_ARGUMENT",
      );
    }
  });
});

describe("update and apply", () => {
  test("count generations only for changes of the spec", async () => {
    const { store } = openPlane().plane;
    const { object } = await store.create(disk, { name: "a", spec });
    const same = await store.update(disk, key, spec);
    expect(same.object.metadata.generation).toBe(1);
    await store.updateStatus(disk, key, { status: { sizeBytes: gib } }, { observedGeneration: 1 });
    const bigger = await store.update(disk, key, { sizeBytes: 2 * gib });
    expect(bigger.object.metadata).toMatchObject({ generation: 2, observedGeneration: 1, statusVersion: 1 });
    expect(bigger.object.status).toEqual({ sizeBytes: gib });
    expect(bigger.object.metadata.uid).toBe(object.metadata.uid);
  });

  test("keep to the revision and generation that they are told", async () => {
    const { store } = openPlane().plane;
    const { object } = await store.create(disk, { name: "a", spec });
    await store.updateStatus(disk, key, { status: { sizeBytes: 1 } }, { observedGeneration: 1 });
    const { revision, generation } = object.metadata;
    const bigger = { sizeBytes: 2 * gib };
    expect(await failure(store.update(disk, key, bigger, { ifRevision: revision }))).toMatchObject({ code: "ABORTED" });
    await store.update(disk, key, bigger, { ifGeneration: generation });
    expect(await failure(store.update(disk, key, bigger, { ifGeneration: generation }))).toMatchObject({
      code: "ABORTED",
    });
    expect(await failure(store.delete(disk, key, { ifRevision: revision }))).toMatchObject({ code: "ABORTED" });
  });

  test("of concurrent functions lose nothing", async () => {
    const { store } = openPlane().plane;
    await store.create(disk, { name: "a", spec });
    await Promise.all(
      Array.from({ length: 25 }, () =>
        store.update(disk, key, (object) => ({ ...object.spec, sizeBytes: object.spec.sizeBytes + 512 })),
      ),
    );
    const object = await store.get(disk, key);
    expect(object.spec.sizeBytes).toBe(gib + 25 * 512);
    expect(object.metadata.generation).toBe(26);
  });

  test("do not overwrite what another owner holds, unless forced", async () => {
    const { store } = openPlane().plane;
    await store.create(disk, { name: "a", spec: { ...spec, limits: { iops: 10 } } });
    await store.apply(disk, key, { host: "host-1" }, { fieldOwner: "ha" });
    const error = await failure(store.apply(disk, key, { limits: { iops: 20 } }, { fieldOwner: "appspeed" }));
    expect(error).toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "VDC_FIELD_CONFLICT",
      details: { conflicts: [{ path: "/limits/iops", owner: "user" }] },
    });
    // A whole spec that leaves out another's field leaves it as it is.
    const updated = await store.update(disk, key, { sizeBytes: 2 * gib, limits: { iops: 10 } });
    expect(updated.object.spec.host).toBe("host-1");
    expect((await failure(store.update(disk, key, { ...spec, sizeBytes: 2 * gib, host: "host-9" }))).reason).toBe(
      "VDC_FIELD_CONFLICT",
    );
    const forced = await store.apply(disk, key, { limits: { iops: 20 } }, { fieldOwner: "appspeed", force: true });
    expect(forced.object.metadata.fieldOwners).toMatchObject({ "/limits/iops": "appspeed", "/host": "ha" });
    const released = await store.apply(disk, key, {}, { fieldOwner: "ha", release: "all" });
    expect(released.object.metadata.fieldOwners).not.toHaveProperty("/host");
    expect(released.object.spec.host).toBe("host-1");
    await store.apply(disk, key, { host: "host-3" }, { fieldOwner: "user" });
  });

  test("are refused once deletion was asked for", async () => {
    const { store } = openPlane().plane;
    await store.create(disk, { name: "a", spec });
    await store.delete(disk, key);
    expect(await failure(store.update(disk, key, { sizeBytes: 2 * gib }))).toMatchObject({
      reason: "VDC_BEING_DELETED",
    });
    expect(await failure(store.addFinalizer(disk, key, "late"))).toMatchObject({ reason: "VDC_BEING_DELETED" });
  });
});

describe("updateStatus", () => {
  test("writes nothing when nothing changes", async () => {
    const { plane, connection } = openPlane();
    await plane.store.create(disk, { name: "a", spec });
    const ready = { conditions: [{ type: "Ready", status: "True" as const, reason: "Realised" }] };
    const first = await plane.store.updateStatus(disk, key, ready, { observedGeneration: 1 });
    const before = connection.transactions;
    const second = await plane.store.updateStatus(disk, key, ready, { observedGeneration: 1 });
    expect(second).toEqual(first);
    expect(connection.transactions).toBe(before);
  });

  test("refuses a status that its schema refuses", async () => {
    const { store } = openPlane().plane;
    await store.create(disk, { name: "a", spec });
    const broken = { status: { sizeBytes: "many" } as never };
    expect(await failure(store.updateStatus(disk, key, broken, { observedGeneration: 1 }))).toMatchObject({
      code: "INTERNAL",
      reason: "VDC_STATUS_INVALID",
    });
  });

  test("keeps to its own version", async () => {
    const { store } = openPlane().plane;
    await store.create(disk, { name: "a", spec });
    await store.update(disk, key, { sizeBytes: 2 * gib });
    const options = { observedGeneration: 1, ifStatusVersion: 0 };
    await store.updateStatus(disk, key, { status: { sizeBytes: 1 } }, options);
    expect(await failure(store.updateStatus(disk, key, { status: { sizeBytes: 2 } }, options))).toMatchObject({
      code: "ABORTED",
    });
    const object = await store.get(disk, key);
    expect(object.spec.sizeBytes).toBe(2 * gib);
    expect(object.status.sizeBytes).toBe(1);
  });

  test("about an older generation does not overwrite what is known of a later one", async () => {
    const { store } = openPlane().plane;
    await store.create(disk, { name: "a", spec });
    await store.update(disk, key, { sizeBytes: 2 * gib });
    const condition = (status: "True" | "False") => ({ conditions: [{ type: "Ready", status, reason: "Test" }] });
    await store.updateStatus(disk, key, condition("True"), { observedGeneration: 2 });
    const late = await store.updateStatus(disk, key, condition("False"), { observedGeneration: 1 });
    expect(late.conditions).toMatchObject([{ status: "True", observedGeneration: 2 }]);
    expect(late.metadata.observedGeneration).toBe(2);
  });
});

describe("owners", () => {
  test("must be there, and wait for what blocks their deletion", async () => {
    const { store } = openPlane().plane;
    const { object: owner } = await store.create(disk, { name: "a", spec });
    const owned = { name: "b", spec, ownerReferences: [ownedBy(owner, { blockOwnerDeletion: true })] };
    await store.create(disk, owned);
    expect((await store.get(disk, key)).metadata.finalizers).toContain(dependentsFinalizer);
    await store.delete(disk, key);
    expect(await failure(store.create(disk, { ...owned, name: "c" }))).toMatchObject({ reason: "VDC_OWNER_GONE" });
  });
});

describe("list and watch", () => {
  test("go page by page, by tenant and labels", async () => {
    const { store } = openPlane().plane;
    for (let index = 0; index < 7; index++) {
      const labels = { parity: index % 2 === 0 ? "even" : "odd" };
      await store.create(disk, { name: `d-${index}`, tenant: index < 4 ? "one" : "two", spec, labels });
    }
    const names = async (options: Parameters<typeof store.listAll>[1]) => {
      const found: string[] = [];
      for await (const object of store.listAll(disk, options)) found.push(object.metadata.name);
      return found;
    };
    expect(await names({ limit: 2 })).toEqual(["d-0", "d-1", "d-2", "d-3", "d-4", "d-5", "d-6"]);
    expect(await names({ tenant: "two", limit: 2 })).toEqual(["d-4", "d-5", "d-6"]);
    expect(await names({ labels: { parity: "odd" } })).toEqual(["d-1", "d-3", "d-5"]);
  });

  test("a watch tells every change after a revision, and a gap", async () => {
    const { plane, state } = openPlane();
    const { store } = plane;
    const { object } = await store.create(disk, { name: "a", spec });
    await store.update(disk, key, { sizeBytes: 2 * gib });
    await store.delete(disk, key);
    await store.removeFinalizer(disk, key, "test.disk");
    const seen: unknown[] = [];
    for await (const event of store.watch(disk, { afterRevision: object.metadata.revision })) {
      seen.push(event.type === "changed" ? event.object.metadata.generation : event.type);
      if (event.type === "deleted") break;
    }
    expect(seen).toEqual([2, 3, "deleted"]);
    state.compact();
    const after = [];
    for await (const event of store.watch(disk, { afterRevision: 1 })) after.push(event.type);
    expect(after).toEqual(["resync"]);
  });
});
