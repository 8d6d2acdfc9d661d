import { createOperationContext, VdcError } from "@vdc-os/core";
import type { SecretStore } from "@vdc-os/core/secret/v1";
import { describe } from "vitest";
import { forgiving } from "../../test/build-mutant.ts";
import { createReference, mutant } from "../../test/secret-mutants/build-mutant.ts";
import { pressureMutants } from "../../test/secret-mutants/pressure-mutants.ts";
import type { Mutant } from "../suite/proves-suite.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import { MemorySecretStore } from "./memory-secret-store.ts";
import type { SecretInstance } from "./secret-instance.ts";
import { secretSuite } from "./secret-suite.ts";

const mutants: readonly Mutant<SecretStore, SecretInstance>[] = [
  mutant("secret.resolve.value", "trims values", (store) => ({
    put: ({ name, value }, context) => store.put({ name, value: value.trim() }, context),
  })),
  mutant("secret.resolve.version", "always resolves the newest version", (store) => ({
    resolve: ({ name }, context) => store.resolve({ name }, context),
  })),
  mutant("secret.resolve.absent", "resolves what is absent to nothing", (store) => ({
    resolve: (input, context) => forgiving(store.resolve(input, context), () => ({ value: "", version: 1 })),
  })),
  mutant("secret.put.idempotent", "makes a version for each put", (store) => ({
    async put({ name, value }, context) {
      await store.put({ name, value: `${value}.` }, context);
      return store.put({ name, value }, context);
    },
  })),
  mutant("secret.rotate.fresh", "rotates to values of one size", (store) => ({
    rotate: ({ name }, context) => store.rotate({ name, bytes: 32 }, context),
  })),
  mutant("secret.rotate.absent", "creates what it should rotate", (store) => ({
    rotate: (input, context) =>
      forgiving(store.rotate(input, context), () => store.put({ name: input.name, value: "made up" }, context)),
  })),
  mutant("secret.remove.all", "fails to remove what is absent", (store) => ({
    async remove({ name }, context) {
      await store.resolve({ name }, context);
      await store.remove({ name }, context);
    },
  })),
  mutant("secret.list.names", "forgets the last name of a page", (store) => ({
    async list(input, context) {
      const page = await store.list(input, context);
      return page.nextPageToken === undefined ? page : { ...page, items: page.items.slice(0, -1) };
    },
  })),
  mutant("secret.value.hidden", "keeps the last value where printing shows it", (store) => {
    const leaky: Partial<SecretStore> & { lastPut?: string } = {
      put: (input, context) => {
        shown.lastPut = input.value;
        return store.put(input, context);
      },
      describe: async (input, context) => ({
        ...(await store.describe(input, context)),
        attributes: { lastPut: shown.lastPut ?? "" },
      }),
    };
    const shown: { lastPut?: string } = {};
    return leaky;
  }),
  mutant("secret.put.concurrent", "answers calls that come at once with the first one's version", (store) => {
    let open: Promise<{ readonly version: number }> | undefined;
    return {
      put: (input, context) => {
        open ??= store.put(input, context).finally(() => {
          open = undefined;
        });
        return open;
      },
    };
  }),
  mutant("secret.put.cancelled", "has put half of the value when it notices", (store) => ({
    async put(input, context) {
      if (!context.signal.aborted) return store.put(input, context);
      await store.put({ name: input.name, value: input.value.slice(0, 2) }, createOperationContext());
      throw new VdcError("CANCELLED", "it was given up");
    },
  })),
  mutant("secret.hostile.names", "keeps secrets as properties of an object", (store) => ({
    async resolve(input, context) {
      if (input.name !== "constructor") return store.resolve(input, context);
      return forgiving(store.resolve(input, context), () => ({ value: "function", version: 1 }));
    },
  })),
  {
    breaks: "secret.durable.restart",
    how: "keeps nothing",
    mutate: (instance) => ({ ...instance, restart: async () => new MemorySecretStore() }),
  },
  ...pressureMutants,
];

describe("the secret suite", () => {
  describeProof(secretSuite, { create: createReference, mutants, timeoutMs: 3_000 });
  describe("the reference", () => describeSuite(secretSuite, { create: createReference }));
});
