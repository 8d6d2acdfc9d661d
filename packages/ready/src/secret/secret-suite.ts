import { inspect } from "node:util";
import { type SecretStore, secretStore } from "@vdc-os/core/secret/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { defineSuite, type Suite } from "../suite/suite.ts";
import { cancelRequirements } from "./cancel-requirements.ts";
import { crashRequirements } from "./crash-requirements.ts";
import { hostileRequirements } from "./hostile-requirements.ts";
import { pressureRequirements } from "./pressure-requirements.ts";
import { put, type SecretInstance, type SecretTest } from "./secret-instance.ts";

const canary = "canary-7f3a-not-to-be-seen";

async function allNames(test: SecretTest, limit: number): Promise<readonly string[]> {
  const names: string[] = [];
  let page = await test.provider.list({ limit }, test.operation());
  for (;;) {
    must(page.items.length <= limit, `a page of at most ${limit} has ${page.items.length} items`);
    names.push(...page.items.map(({ name }) => name));
    if (page.nextPageToken === undefined) return names;
    must(names.length < 100, "the pages must come to an end");
    page = await test.provider.list({ limit, pageToken: page.nextPageToken }, test.operation());
  }
}

/** The certification suite of `vdc.secret` 1.0. */
export const secretSuite: Suite<SecretStore, SecretInstance> = defineSuite<SecretStore, SecretInstance>({
  name: "secret",
  point: secretStore,
  requirements: [
    {
      id: "secret.resolve.value",
      title: "a secret resolves to the very text that was put",
      clause: 'Operation resolve: "Returns a secret\'s value."',
      level: "core",
      async run(test) {
        const values = [
          "",
          " spaces ",
          "line\nbreak\r\n",
          "\u{1f511} \u00e9 e\u0301 \u2028",
          '{"json":true}',
          "x".repeat(65_536),
        ];
        for (const [index, value] of values.entries()) {
          const version = await put(test, `secret-${index}`, value);
          const found = await test.provider.resolve({ name: `secret-${index}` }, test.operation());
          must(
            found.value === value,
            `value ${index} came back changed: ${value.length} characters became ${found.value.length}`,
          );
          mustEqual(found.version, version, "the version of the newest value");
        }
      },
    },
    {
      id: "secret.resolve.version",
      title: "an earlier version still resolves when it is named",
      clause: 'SecretRef.version: "Which version. Defaults to the newest."',
      level: "core",
      async run(test) {
        const first = await put(test, "a", "one");
        const second = await put(test, "a", "two");
        must(second > first, "a new value must have a higher version");
        const found = await test.provider.resolve({ name: "a", version: first }, test.operation());
        must(found.value === "one" && found.version === first, "an earlier version must resolve to its own value");
        const newest = await test.provider.resolve({ name: "a" }, test.operation());
        must(newest.value === "two" && newest.version === second, "without a version the newest must be resolved");
      },
    },
    {
      id: "secret.resolve.absent",
      title: "a secret or a version that is not there fails with NOT_FOUND",
      clause: 'Operation resolve: errors ["NOT_FOUND", ...]',
      level: "core",
      async run(test) {
        await mustReject(
          test.provider.resolve({ name: "absent" }, test.operation()),
          "NOT_FOUND",
          "resolving an absent secret",
        );
        const version = (await put(test, "a", "one")) + 1;
        const call = test.provider.resolve({ name: "a", version }, test.operation());
        await mustReject(call, "NOT_FOUND", "resolving an absent version");
      },
    },
    {
      id: "secret.put.idempotent",
      title: "putting the newest value again makes no version",
      clause: 'SecretStore.put: "Putting the value that the newest version has returns that version."',
      level: "core",
      async run(test) {
        const first = await put(test, "a", "one");
        mustEqual(await put(test, "a", "one"), first, "the version of the same value put again");
        await put(test, "a", "two");
        must((await put(test, "a", "one")) > first, "an older value put again must be a new version");
      },
    },
    {
      id: "secret.rotate.fresh",
      title: "rotation puts a fresh random value of the size, as base64url, and keeps the one before",
      clause:
        'SecretStore.rotate: "Puts a fresh random value of that many bytes, as base64url, and keeps the version before it readable."',
      level: "core",
      async run(test) {
        const first = await put(test, "a", "one");
        const seen = new Set<string>();
        for (const bytes of [16, 32, 33, 32]) {
          const { version } = await test.provider.rotate({ name: "a", bytes }, test.operation());
          const { value } = await test.provider.resolve({ name: "a", version }, test.operation());
          must(/^[A-Za-z0-9_-]+$/.test(value), "a rotated value must be base64url without padding");
          mustEqual(Buffer.from(value, "base64url").length, bytes, "the bytes of a rotated value");
          seen.add(value);
          if (version === first + 1) {
            const before = await test.provider.resolve({ name: "a", version: first }, test.operation());
            must(before.value === "one", "the version before a rotation must stay readable");
          }
        }
        mustEqual(seen.size, 4, "how many of four rotated values differ");
      },
    },
    {
      id: "secret.rotate.absent",
      title: "a secret that is not there can't be rotated",
      clause: 'Operation rotate: errors ["NOT_FOUND", ...]',
      level: "core",
      async run(test) {
        const call = test.provider.rotate({ name: "absent", bytes: 32 }, test.operation());
        await mustReject(call, "NOT_FOUND", "rotating an absent secret");
        mustEqual(await allNames(test, 10), [], "the names after that");
      },
    },
    {
      id: "secret.remove.all",
      title: "removing takes all versions, and succeeds for what is absent",
      clause: 'SecretStore.remove: "Removes a secret and all its versions. Removing what is absent succeeds."',
      level: "core",
      async run(test) {
        const version = await put(test, "a", "one");
        await put(test, "a", "two");
        await put(test, "b", "stays");
        for (let time = 0; time < 2; time += 1) await test.provider.remove({ name: "a" }, test.operation());
        await mustReject(
          test.provider.resolve({ name: "a" }, test.operation()),
          "NOT_FOUND",
          "resolving a removed secret",
        );
        const earlier = test.provider.resolve({ name: "a", version }, test.operation());
        await mustReject(earlier, "NOT_FOUND", "resolving an earlier version of a removed secret");
        mustEqual(await allNames(test, 10), ["b"], "the names that stay");
      },
    },
    {
      id: "secret.list.names",
      title: "a list has every name once, with the newest version, page by page",
      clause: 'SecretStore.list: "The names, never the values."',
      level: "core",
      async run(test) {
        const names = Array.from({ length: 7 }, (_, index) => `name-${index}`);
        for (const name of [...names].reverse()) await put(test, name, "one");
        const version = await put(test, "name-3", "two");
        mustEqual([...(await allNames(test, 3))].sort(), names, "the names of all pages");
        const { items } = await test.provider.list({}, test.operation());
        mustEqual(items.find(({ name }) => name === "name-3")?.version, version, "the version in a list");
        const call = test.provider.list({ pageToken: "nonsense" }, test.operation());
        await mustReject(call, "ABORTED", "a list with an unknown page token");
      },
    },
    {
      id: "secret.value.hidden",
      title: "no value shows in a list, in describe, in an error, or when the store is printed",
      clause:
        'SecretStore: "Values leave it only through `resolve`, and never reach a log, an error or the state store."',
      level: "core",
      async run(test) {
        await put(test, "a", canary);
        const errors = await Promise.allSettled([
          test.provider.resolve({ name: "a", version: 99 }, test.operation()),
          test.provider.rotate({ name: "absent", bytes: 32 }, test.operation()),
          test.provider.put({ name: "b", value: canary.repeat(4_000) }, test.operation()),
          test.provider.put({ name: canary.toUpperCase(), value: canary }, test.operation()),
        ]);
        const { implementation } = test.instance;
        const shown = [
          inspect(implementation, { depth: 20, showHidden: true }),
          JSON.stringify(implementation),
          JSON.stringify(await test.provider.describe({ scope: {} }, test.operation())),
          JSON.stringify(await test.provider.list({}, test.operation())),
          ...errors.map((result) => (result.status === "rejected" ? inspect(result.reason, { depth: 20 }) : "")),
        ];
        must(!shown.some((text) => text?.includes(canary)), "a secret's value shows outside of resolve");
      },
    },
    {
      id: "secret.durable.restart",
      title: "what was acknowledged is there after a restart",
      clause: 'Operation put: "Stores a value as the newest version of a secret."',
      level: "core",
      async run(test) {
        if (test.instance.restart === undefined) return test.skip("the factory has no 'restart'");
        const first = await put(test, "a", "one");
        const second = await put(test, "a", "two");
        const { version: rotated } = await test.provider.rotate({ name: "a", bytes: 32 }, test.operation());
        const before = await test.provider.resolve({ name: "a", version: rotated }, test.operation());
        const again = await test.wrap(await test.instance.restart());
        for (const [version, value] of [
          [first, "one"],
          [second, "two"],
          [rotated, before.value],
        ] as const) {
          const found = await again.resolve({ name: "a", version }, test.operation());
          must(found.value === value, `version ${version} must be the same after a restart`);
        }
      },
    },
    ...pressureRequirements,
    ...cancelRequirements,
    ...crashRequirements,
    ...hostileRequirements,
  ],
});
