import { mustKeepNoMemory } from "../suite/heap-growth.ts";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { put, type SecretRequirement } from "./secret-instance.ts";

/** Values that a store may not take for anything but text. Half of a surrogate pair is no text: plugins in most languages can hold none (RFC 8259, 8.2). */
const values: readonly string[] = [
  "nul\u0000byte",
  "\u0000",
  "\ufeffmark",
  "\r",
  "'; DROP TABLE secrets; --",
  "$(touch x) `touch x`",
  "__proto__",
  "null",
  "[]",
  '{"version":1,"value":"x"}',
  "-----BEGIN PRIVATE KEY-----\n",
  "\u{1f511}".repeat(32_768),
  "\u0001".repeat(65_536),
];

/** What no store may take for something else, and what may not take all memory. */
export const hostileRequirements: readonly SecretRequirement[] = [
  {
    id: "secret.hostile.values",
    title:
      "a value of any characters, up to 65536 of them, is that value, also after another one, and is told from every other",
    clause: 'Operation put: "Stores a value as the newest version of a secret."',
    level: "core",
    async run(test) {
      for (const [index, value] of values.entries()) {
        const version = await put(test, "a", value);
        mustEqual(version, index + 1, `the version of value ${index}, which no other equals`);
      }
      // Some stores keep a few versions only.
      for (const version of [values.length - 1, values.length]) {
        const { value } = await test.provider.resolve({ name: "a", version }, test.operation());
        must(value === values[version - 1], `value ${version - 1} must come back as it was`);
      }
      for (const [index, value] of values.entries()) {
        await put(test, "b", value);
        const found = await test.provider.resolve({ name: "b" }, test.operation());
        must(
          found.value === value,
          `value ${index} must come back as it was: ${value.length} characters became ${found.value.length}`,
        );
      }
    },
  },
  {
    id: "secret.hostile.versions",
    title: "a version that never was is not found, however large its number, and resolves to no other",
    clause: 'Operation resolve: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      await put(test, "a", "one");
      for (const version of [2, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
        const call = test.provider.resolve({ name: "a", version }, test.operation());
        await mustReject(call, "NOT_FOUND", `version ${version}`);
      }
      mustEqual(await put(test, "a", "one"), 1, "the version of the same value put again");
    },
  },
  {
    id: "secret.hostile.tokens",
    title: "a page token that was made up is refused",
    clause: 'PageRequest.pageToken: "A token that is unknown or too old fails with `ABORTED`: begin again."',
    level: "core",
    async run(test) {
      await put(test, "a", "one");
      await put(test, "b", "one");
      for (const pageToken of ["0", "-1", "a", "e30=", "{}", "null", "../a", "\u0000", "x".repeat(1_024)]) {
        const call = test.provider.list({ pageToken }, test.operation());
        await mustReject(call, "ABORTED", `page token '${pageToken.slice(0, 40)}'`);
      }
    },
  },
  {
    id: "secret.resolve.bounded-memory",
    title: "reading a large value again and again keeps no copy of it",
    clause: "OperationContext: it ends with its call, and what the call read with it",
    level: "core",
    async run(test) {
      const value = "x".repeat(65_536);
      await put(test, "a", value);
      await mustKeepNoMemory(
        async () => {
          const found = await test.provider.resolve({ name: "a" }, test.operation());
          must(found.value.length === value.length, "the value must be the one that was put");
        },
        { calls: 40, bytesPerCall: 16_384 },
      );
    },
  },
];
