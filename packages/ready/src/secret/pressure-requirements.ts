import { isVdcError } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { put, type SecretRequirement } from "./secret-instance.ts";

/** Calls at once, calls that are given up, and names that mean something elsewhere. */
export const pressureRequirements: readonly SecretRequirement[] = [
  {
    id: "secret.put.concurrent",
    title: "values that are put at once have versions of their own, and none is lost",
    clause: 'Operation put: "Stores a value as the newest version of a secret."',
    level: "core",
    async run(test) {
      const values = Array.from({ length: 8 }, (_, index) => `value-${index}`);
      const versions = await Promise.all(values.map((value) => put(test, "a", value)));
      mustEqual(new Set(versions).size, values.length, "how many versions eight values have");
      for (const [index, version] of versions.entries()) {
        const { value } = await test.provider.resolve({ name: "a", version }, test.operation());
        must(value === values[index], `version ${version} must be the value that was put as it`);
      }
    },
  },
  {
    id: "secret.put.cancelled",
    title: "a put that was given up is done wholly, or not at all",
    clause: 'OperationContext.signal: "Aborts when the caller cancels"',
    level: "core",
    async run(test) {
      await put(test, "a", "before");
      const call = test.provider.put({ name: "a", value: "after" }, test.operation({ signal: AbortSignal.abort() }));
      const done = await call.then(
        () => true,
        (error) => mustReject(Promise.reject(error), "CANCELLED", "a put that was given up").then(() => false),
      );
      const { value } = await test.provider.resolve({ name: "a" }, test.operation());
      must(value === "after" || (!done && value === "before"), "a put that was given up must leave one of both values");
    },
  },
  {
    id: "secret.hostile.names",
    title:
      "names are names alone: none is taken for a property, a device, a file of the store's own or for another one",
    clause: "SecretRef.name: an object name",
    level: "core",
    async run(test) {
      const names = [
        "constructor",
        "valueof",
        "con",
        "nul",
        "key",
        "lock",
        "tmp",
        "a.b",
        "a-b",
        "a",
        "0",
        "x".repeat(63),
      ];
      for (const name of names) {
        const found = await test.provider.resolve({ name }, test.operation()).catch((error: unknown) => error);
        must(isVdcError(found, "NOT_FOUND"), `there must be no secret '${name}' before it was put`);
        await put(test, name, `of ${name}`);
      }
      await test.provider.remove({ name: "a" }, test.operation());
      for (const name of names.filter((one) => one !== "a")) {
        const { value, version } = await test.provider.resolve({ name }, test.operation());
        must(value === `of ${name}` && version === 1, `secret '${name}' must have its own value`);
      }
    },
  },
];
