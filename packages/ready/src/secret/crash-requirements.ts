import type { SecretStore } from "@vdc-os/core/secret/v1";
import { type Killable, killWhile } from "../suite/kill-while.ts";
import { must, mustEqual } from "../suite/must.ts";
import type { SecretRequirement, SecretTest } from "./secret-instance.ts";

/** How many secrets are changed at once when the store is killed. */
const secrets = 16;

interface KillableStore extends Killable<SecretStore> {
  leftovers(): readonly string[];
}

/** The store, and what ends it as `kill -9` does: in a process of its own where the factory has one. */
async function startKillable(test: SecretTest): Promise<KillableStore> {
  const { instance } = test;
  const own = await instance.killable?.();
  if (own !== undefined) {
    return {
      provider: await test.wrap(own.implementation),
      kill: async () => test.wrap(await own.kill()),
      leftovers: () => own.leftovers?.() ?? [],
    };
  }
  const { restart } = instance;
  if (restart === undefined) return test.skip("the factory has neither 'killable' nor 'restart'");
  return {
    provider: test.provider,
    kill: async () => test.wrap(await restart.call(instance)),
    leftovers: () => [],
  };
}

const indexes: readonly number[] = Array.from({ length: secrets }, (_, index) => index);
const nameOf = (index: number): string => `secret-${index}`;
const oldOf = (index: number): string => `old-${index}-`.repeat(1_000);
const newOf = (index: number): string => `new-${index}-`.repeat(2_000);

async function putOld(test: SecretTest, provider: SecretStore): Promise<void> {
  for (const index of indexes) {
    await provider.put({ name: nameOf(index), value: oldOf(index) }, test.operation());
  }
}

/** Kills in the middle of what changes secrets. */
export const crashRequirements: readonly SecretRequirement[] = [
  {
    id: "secret.crash.put",
    title:
      "when the store is killed while secrets are put, each has the old value or the new one, whole, and the new one where that was answered",
    clause:
      'SecretStore: "A change that was answered survives `kill -9`; one that was not is made wholly or not at all."',
    level: "core",
    async run(test) {
      const store = await startKillable(test);
      await putOld(test, store.provider);
      const change = async (to: SecretStore, index: number): Promise<number> =>
        (await to.put({ name: nameOf(index), value: newOf(index) }, test.operation())).version;
      const { after, answered } = await killWhile(store, { call: change, items: indexes });
      mustEqual(store.leftovers(), [], "what a kill leaves behind");
      for (const index of indexes) {
        const { value, version } = await after.resolve({ name: nameOf(index) }, test.operation());
        const isNew = value === newOf(index);
        must(
          isNew || value === oldOf(index),
          `secret ${index} must have its old value or its new one, whole, after a kill`,
        );
        const told = answered.get(index);
        must(
          told === undefined || (isNew && version === told),
          `a put of secret ${index} that was answered must be there`,
        );
        const again = await change(after, index);
        must(
          !isNew || again === version,
          `a put of secret ${index} that is repeated must make no version when it had been made`,
        );
        const before = await after.resolve({ name: nameOf(index), version: 1 }, test.operation());
        must(before.value === oldOf(index), `the version before of secret ${index} must be as it was`);
      }
    },
  },
  {
    id: "secret.crash.rotate",
    title:
      "when the store is killed while secrets are rotated and removed, each is as before or after, whole; an answered version is there, and so is the one before",
    clause:
      'SecretStore.rotate: "keeps the version before it readable"; SecretStore: "one that was not is made wholly or not at all"',
    level: "core",
    async run(test) {
      const store = await startKillable(test);
      await putOld(test, store.provider);
      const isRotated = (index: number): boolean => index % 2 === 0;
      const { after, answered } = await killWhile(store, {
        async call(to, index) {
          const name = nameOf(index);
          if (isRotated(index)) return (await to.rotate({ name, bytes: 48 }, test.operation())).version;
          await to.remove({ name }, test.operation());
          return 0;
        },
        items: indexes,
      });
      const listed = new Map(
        (await after.list({}, test.operation())).items.map(({ name, version }) => [name, version]),
      );
      for (const index of indexes) {
        const name = nameOf(index);
        const newest = listed.get(name);
        const told = answered.get(index);
        if (!isRotated(index)) {
          must(
            told === undefined || newest === undefined,
            `a removal of '${name}' that was answered must have been made`,
          );
          await after.remove({ name }, test.operation());
          continue;
        }
        must(
          newest !== undefined && (told === undefined || told === newest),
          `the newest version of '${name}' must be the answered one`,
        );
        const first = await after.resolve({ name, version: 1 }, test.operation());
        must(first.value === oldOf(index), `the version before the rotation of '${name}' must be readable`);
        const { value, version } = await after.resolve({ name }, test.operation());
        mustEqual(version, newest, `the newest version of '${name}', and that of the list`);
        const isWhole = version === 1 ? value === oldOf(index) : Buffer.from(value, "base64url").length === 48;
        must(isWhole, `the newest value of '${name}' must be whole`);
      }
      const rest = (await after.list({}, test.operation())).items.map(({ name }) => name);
      mustEqual(rest.length, secrets / 2, "how many secrets are there when the removals were repeated");
      mustEqual(store.leftovers(), [], "what a kill leaves behind");
    },
  },
];
