import { createOperationContext } from "@vdc-os/core";
import { MemoryStateStore } from "@vdc-os/ready/state";
import { MemoryStorageProvider } from "@vdc-os/ready/storage";
import { expect, it } from "vitest";
import { cutting } from "./cutting-handle.ts";
import { type BelowHandles, handlesOn, openOn } from "./over-base.ts";

const context = createOperationContext();
const capacityBytes = 65536;

async function tickets({ state }: Pick<BelowHandles, "state">): Promise<readonly string[]> {
  const prefix = "linked-clones/clones/tickets/";
  return (await state.list({ prefix, limit: 1000 })).entries.map(({ key }) => key.slice(prefix.length));
}

it("reserves the ends of names for many volumes at once, and gives back what is not used", async () => {
  await using handles = await handlesOn(new MemoryStorageProvider(), new MemoryStateStore());
  const provider = await openOn(handles);
  expect(await tickets(handles)).toEqual([]);
  const make = async (lane: number): Promise<void> => {
    for (let step = 0; step < 40; step++)
      await provider.createVolume({ name: `v-${lane}-${step}`, capacityBytes }, context);
  };
  await Promise.all(Array.from({ length: 8 }, (_, lane) => make(lane)));
  expect(await tickets(handles)).toHaveLength(1);
  await provider.close();
  expect(await tickets(handles)).toEqual([]);
  const names = (await handles.base.listVolumes({ limit: 1000 })).items.map(({ name }) => name);
  expect(new Set(names).size).toBe(320);
});

it("removes after a kill what was not recorded under a reserved name, and no volume of anybody else", async () => {
  const store = new MemoryStorageProvider();
  await using handles = await handlesOn(store, new MemoryStateStore());
  const dying = await openOn(handles);
  await dying.createVolume({ name: "kept", capacityBytes }, context);
  // What others keep in the same provider, with names that look alike.
  const others = ["other", "other.0123456789ab", "other.0123456789abcd"];
  for (const name of others) await store.createVolume({ name, capacityBytes }, context);
  await dying.close();
  // From the moment that the volume is there, the store does not answer any more.
  const left = { calls: Number.POSITIVE_INFINITY };
  const base = new Proxy(handles.base, {
    get(target, key) {
      const value = Reflect.get(target, key, target) as unknown;
      if (key !== "createVolume") return value;
      return async (...args: Parameters<typeof target.createVolume>) => {
        const made = await target.createVolume(...args);
        left.calls = 0;
        return made;
      };
    },
  });
  const killed = await openOn({ base, state: cutting(handles.state, left) });
  await expect(killed.createVolume({ name: "lost", capacityBytes }, context)).rejects.toMatchObject({
    code: "UNAVAILABLE",
  });
  const below = async (): Promise<readonly string[]> =>
    (await handles.base.listVolumes({ limit: 1000 })).items
      .map(({ name }) => name.replace(/^(kept|lost)\..*/, "$1"))
      .sort();
  await killed.close();
  expect(await below()).toEqual(["kept", "lost", ...others].sort());
  const after = await openOn(handles);
  expect(await below()).toEqual(["kept", ...others].sort());
  expect(await tickets(handles)).toEqual([]);
  expect((await after.listVolumes({}, context)).items.map(({ name }) => name)).toEqual(["kept"]);
  await after.close();
});
