import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { type AnyExtensionPoint, type Contract, type ContractJsonSchema, contractJsonSchema } from "@vdc-os/core";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { cloudConnector } from "@vdc-os/core/cloud/v1";
import { hypervisor } from "@vdc-os/core/compute/v1";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { createTestClock } from "@vdc-os/core/testing";
import { type Instance, runSuite, type Suite } from "@vdc-os/ready";
import { cloudSuite, MemoryCloud } from "@vdc-os/ready/cloud";
import { computeSuite, MemoryHypervisor } from "@vdc-os/ready/compute";
import { MemorySwitch, networkSuite } from "@vdc-os/ready/network";
import { MemorySecretStore, secretSuite } from "@vdc-os/ready/secret";
import { MemoryStateStore, stateSuite } from "@vdc-os/ready/state";
import {
  createMemoryPool,
  MemoryStorageProvider,
  openMemoryTransport,
  type StorageInstance,
  storageSuite,
} from "@vdc-os/ready/storage";
import { describe, expect, it } from "vitest";
import { recordCalls } from "./record-calls.ts";

const points: readonly AnyExtensionPoint[] = [
  backupRepository,
  cloudConnector,
  distributedSwitch,
  hostRuntime,
  hypervisor,
  secretStore,
  stateStore,
  storageProvider,
];

/** Every schema of a contract, by the operation's name on the wire and the side. */
function schemasOf({ operations, facets }: ContractJsonSchema): readonly (readonly [string, object])[] {
  const groups = [
    ["", operations] as const,
    ...Object.entries(facets).map(([name, own]) => [`${name}.`, own] as const),
  ];
  return groups.flatMap(([prefix, own]) =>
    Object.entries(own).flatMap(([name, { input, output }]) => [
      [`${prefix}${name}:input`, input] as const,
      [`${prefix}${name}:output`, output] as const,
    ]),
  );
}

/** A judge of JSON Schema 2020-12 that is not ours, and throws for keywords that there are not. */
function compile(point: AnyExtensionPoint): ReadonlyMap<string, ValidateFunction> {
  const judge = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
  return new Map(schemasOf(contractJsonSchema(point)).map(([name, schema]) => [name, judge.compile(schema)]));
}

describe("each contract as JSON Schema", () => {
  for (const point of points) {
    it(`${point.id} is valid 2020-12, with an id for each schema`, () => {
      const schemas = schemasOf(contractJsonSchema(point));
      const ids = schemas.map(([, schema]) => (schema as { readonly $id?: string }).$id);
      expect(ids).toEqual(schemas.map(([name]) => `urn:vdc-os:${point.id}:${point.version}:${name}`));
      const judge = new Ajv2020();
      for (const [name, schema] of schemas) {
        expect(schema).toMatchObject({ $schema: "https://json-schema.org/draft/2020-12/schema" });
        expect({ name, valid: judge.validateSchema(schema), errors: judge.errors }).toEqual({
          name,
          valid: true,
          errors: null,
        });
      }
      expect(compile(point).size).toBe(schemas.length);
    });
  }

  it("is the same in an order that does not change, so that it can be compared", () => {
    const [first, second] = [contractJsonSchema(storageProvider), contractJsonSchema(storageProvider)];
    expect(JSON.stringify(second)).toBe(JSON.stringify(first));
  });

  it("refuses what the contract refuses, and lets later members through", () => {
    const create = compile(storageProvider).get("createVolume:input")!;
    expect(create({ name: "disk", capacityBytes: 1 })).toBe(true);
    expect(create({ name: "disk", capacityBytes: 1, laterMember: true })).toBe(true);
    for (const wrong of [
      { name: "Disk", capacityBytes: 1 },
      { name: "disk", capacityBytes: 0.5 },
      { name: "disk" },
      [],
    ]) {
      expect(create(wrong)).toBe(false);
    }
    const remove = compile(storageProvider).get("deleteVolume:output")!;
    expect([remove(null), remove({}), remove(undefined)]).toEqual([true, false, false]);
  });
});

/** What a reference answers while its suite is run on it, as the wire carries it, must be what the schemas say. */
async function holdAgainstSchemas<T extends Contract, I extends Instance<T>>(
  suite: Suite<T, I>,
  create: () => I,
): Promise<ReadonlySet<string>> {
  const schemas = compile(suite.point);
  const seen = new Set<string>();
  const wrong: unknown[] = [];
  const record = (implementation: T): T =>
    recordCalls(suite.point, implementation, ({ operation, side, value }) => {
      const name = `${operation}:${side}`;
      const validate = schemas.get(name);
      seen.add(name);
      if (validate?.(value) !== true) wrong.push({ name, value, errors: validate?.errors });
    });
  await runSuite(suite, {
    create: () => {
      const instance = create();
      return { ...instance, implementation: record(instance.implementation) };
    },
    transports: ["direct"],
  });
  expect(wrong.slice(0, 3)).toEqual([]);
  return seen;
}

/** The names of schemas that nothing was held against. What begins as one of `never` does the suite not reach. */
function unseen(point: AnyExtensionPoint, seen: ReadonlySet<string>, never: readonly string[] = []): readonly string[] {
  return schemasOf(contractJsonSchema(point))
    .map(([name]) => name)
    .filter((name) => !seen.has(name) && !never.some((prefix) => name.startsWith(prefix)));
}

describe("what crosses a reference's operations is what the schemas say", () => {
  it("storage", async () => {
    const seen = await holdAgainstSchemas(storageSuite, (): StorageInstance => {
      const implementation = new MemoryStorageProvider(createMemoryPool());
      const { pool } = implementation;
      return {
        implementation,
        hosts: ["a", "b"],
        openTransport: (transport) => openMemoryTransport(pool, transport),
        reopen: async () => new MemoryStorageProvider(pool),
        imagePath: (name) => `/images/${name}`,
        nowMs: () => pool.nowMs,
        keyRefs: ["key-1", "key-2"],
      };
    });
    const never = ["epochs.", "replicate.", "groupSnapshots.getGroupSnapshot:output"];
    expect(unseen(storageProvider, seen, never)).toEqual([]);
  });

  it("state", async () => {
    const seen = await holdAgainstSchemas(stateSuite, () => {
      const clock = createTestClock();
      const implementation = new MemoryStateStore({ clock });
      const restart = async () => new MemoryStateStore({ clock, disk: implementation.disk });
      return { implementation, clock, restart, backupPath: "/backup" };
    });
    expect(unseen(stateStore, seen)).toEqual([]);
  });

  it("secrets", async () => {
    const seen = await holdAgainstSchemas(secretSuite, () => {
      const implementation = new MemorySecretStore();
      return { implementation, restart: async () => new MemorySecretStore(implementation) };
    });
    expect(unseen(secretStore, seen)).toEqual([]);
  });

  it("cloud", async () => {
    const seen = await holdAgainstSchemas(cloudSuite, () => {
      const implementation = new MemoryCloud();
      const { account } = implementation;
      return {
        implementation,
        request: { image: "debian", size: "small", networks: ["inside"] },
        wrongCredentials: () => new MemoryCloud({ account, knownCredentials: false }),
        reopen: () => new MemoryCloud({ account }),
      };
    });
    const never = ["images.", "volumes.", "vapp.", "stretchedNetwork."];
    expect(unseen(cloudConnector, seen, never)).toEqual([]);
  });

  it("network", async () => {
    const seen = await holdAgainstSchemas(networkSuite, () => {
      const implementation = new MemorySwitch();
      return {
        implementation,
        hosts: ["a", "b"],
        openNic: async (binding) => implementation.openNic(binding),
        openUplink: async (_host, { name }) => implementation.openUplink(name),
        restart: async () => new MemorySwitch(implementation.disk),
      };
    });
    // A facet of settings alone has an operation that no caller needs.
    const never = Object.keys(distributedSwitch.facets).map((facet) => `${facet}.`);
    expect(unseen(distributedSwitch, seen, never)).toEqual([]);
  });

  it("compute", async () => {
    const seen = await holdAgainstSchemas(computeSuite, () => {
      const implementation = new MemoryHypervisor();
      const boot = { kind: "kernel", kernel: "/none", commandLine: "quiet" } as const;
      return {
        implementation,
        spec: { cpus: 1, memoryBytes: 64 << 20, boot, disks: [], nics: [] },
        greeting: "ready",
        reopen: async () => new MemoryHypervisor(implementation.host),
      };
    });
    const never = Object.keys(hypervisor.facets).map((facet) => `${facet}.`);
    expect(unseen(hypervisor, seen, never)).toEqual([]);
  });
});
