import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { createOperationContext } from "@vdc-os/core";
import { type SecretInstance, secretSuite } from "@vdc-os/ready/secret";
import { describeSuite } from "@vdc-os/ready/vitest";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileSecretStore } from "./file-secret-store.ts";
import { readSecretKey, SecretKey } from "./secret-key.ts";

const context = createOperationContext();
const rawKey = SecretKey.raw(randomBytes(32));
const canary = "canary-4b1d-not-to-be-seen";
// Cheap, for tests: what an attacker would have to pay is no matter here.
const scryptCost = 1_024;
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-secret-"));
  path = join(folder, "secrets.vdc");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (key: SecretKey = rawKey): Promise<FileSecretStore> => FileSecretStore.open({ path, key, scryptCost });

describeSuite(secretSuite, {
  create: async (): Promise<SecretInstance> => {
    const own = mkdtempSync(join(tmpdir(), "vdc-secret-suite-"));
    const options = { path: join(own, "secrets.vdc"), key: rawKey };
    const implementation = await FileSecretStore.open(options);
    return {
      implementation,
      restart: async () => {
        await implementation.close();
        return FileSecretStore.open(options);
      },
      dispose: () => rmSync(own, { recursive: true }),
    };
  },
});

describe("the file", () => {
  it("has mode 0600, holds no value and no name in the clear, and is replaced whole", async () => {
    const store = await open();
    await store.put({ name: "database-password", value: canary }, context);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const text = readFileSync(path, "latin1");
    expect(text).not.toContain(canary);
    expect(text).not.toContain(Buffer.from(canary).toString("base64").slice(4, -4));
    expect(text).not.toContain("database-password");
    expect(readdirSync(folder)).toEqual(["secrets.vdc"]);
  });

  it("forgets what a killed writer left", async () => {
    writeFileSync(`${path}.0000.partial`, "half");
    await open();
    expect(readdirSync(folder)).toEqual(["secrets.vdc"]);
  });

  it("opens with its passphrase, typed either way", async () => {
    const store = await open(SecretKey.passphrase("caf\u00e9 au lait"));
    await store.put({ name: "a", value: "one" }, context);
    const again = await open(SecretKey.passphrase("cafe\u0301 au lait"));
    expect((await again.resolve({ name: "a" }, context)).value).toBe("one");
  });

  it("says PERMISSION_DENIED for a wrong key, and what to do", async () => {
    await (await open()).put({ name: "a", value: canary }, context);
    const wrong = {
      code: "PERMISSION_DENIED",
      reason: "VDC_SECRET_WRONG_KEY",
      message: expect.stringContaining("Give the key"),
    };
    await expect(open(SecretKey.raw(randomBytes(32)))).rejects.toMatchObject(wrong);
    await expect(open(SecretKey.passphrase("not the key"))).rejects.toMatchObject(wrong);
  });

  it("says DATA_LOSS wherever it is changed or cut off, and never answers from it", async () => {
    await (await open()).put({ name: "a", value: canary }, context);
    const good = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(good.length - 2),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, cut) => {
          const bad = Buffer.from(cut ? good.subarray(0, at) : good);
          if (!cut) bad[at] = (bad[at] ?? 0) ^ flip;
          writeFileSync(path, bad);
          await expect(open()).rejects.toMatchObject({ code: "DATA_LOSS" });
        },
      ),
      { seed: 20261123, numRuns: process.env.VDC_DEEP ? 5_000 : 300 },
    );
  });

  it("is authenticated beyond its checksum", async () => {
    await (await open()).put({ name: "a", value: canary }, context);
    const file = JSON.parse(readFileSync(path, "utf8")) as Record<string, string>;
    const { createHash } = await import("node:crypto");
    for (const field of ["data", "wrapped"]) {
      const bytes = Buffer.from(file[field] ?? "", "base64");
      bytes[30] = (bytes[30] ?? 0) ^ 1;
      const { checksum: _, ...body } = { ...file, [field]: bytes.toString("base64") };
      const checksum = createHash("sha256").update(JSON.stringify(body)).digest("base64");
      writeFileSync(path, `${JSON.stringify({ ...body, checksum })}\n`);
      await expect(open()).rejects.toMatchObject({ code: "DATA_LOSS", reason: "VDC_SECRET_DAMAGED" });
    }
  });

  it("is read again when another process replaced it, and missed when it is gone", async () => {
    const first = await open();
    const second = await open();
    await first.put({ name: "a", value: "one" }, context);
    await second.put({ name: "b", value: "two" }, context);
    expect((await first.list({}, context)).items.map(({ name }) => name)).toEqual(["a", "b"]);
    rmSync(path);
    await expect(first.resolve({ name: "a" }, context)).rejects.toMatchObject({ code: "DATA_LOSS" });
  });

  it("keeps ten versions", async () => {
    const store = await open();
    for (let index = 1; index <= 12; index += 1) await store.put({ name: "a", value: `value ${index}` }, context);
    expect((await store.resolve({ name: "a", version: 3 }, context)).value).toBe("value 3");
    await expect(store.resolve({ name: "a", version: 2 }, context)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("values and keys", () => {
  it("show nowhere: not printed, not serialised, not in errors", async () => {
    const store = await open();
    await store.put({ name: "a", value: canary }, context);
    const error = await store
      .put({ name: "b", value: canary.repeat(4_000) }, context)
      .catch((thrown: unknown) => thrown);
    writeFileSync(path, "overwritten");
    const damaged = await store.resolve({ name: "a" }, context).catch((thrown: unknown) => thrown);
    expect(damaged).toMatchObject({ code: "DATA_LOSS" });
    const secretText = rawKey.reveal().toString("base64");
    for (const thing of [store, error, damaged, rawKey, Object.assign(new Error("holds it"), { store, rawKey })]) {
      for (const text of [
        inspect(thing, { depth: 20, showHidden: true, getters: true }),
        JSON.stringify(thing),
        String(thing),
        thing instanceof Error ? thing.stack : "",
      ]) {
        expect(text).not.toContain(canary);
        expect(text).not.toContain(secretText);
        expect(text).not.toContain(rawKey.reveal().toString("hex"));
      }
    }
  });

  it("leave the store when it closes", async () => {
    const store = await open();
    await store.put({ name: "a", value: "one" }, context);
    await store.close();
    await expect(store.resolve({ name: "a" }, context)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("the key", () => {
  it("comes from a key file, a passphrase file, or the environment, in that order", async () => {
    const keyFile = join(folder, "keys", "secret.key");
    const made = readSecretKey({ keyFile, createKeyFile: true, environment: {} });
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    expect(readSecretKey({ keyFile, environment: {} }).reveal().equals(made.reveal())).toBe(true);
    const passphraseFile = join(folder, "passphrase");
    writeFileSync(passphraseFile, "long enough\n", { mode: 0o600 });
    expect(readSecretKey({ passphraseFile, environment: {} }).reveal().toString()).toBe("long enough");
    const VDC_SECRET_KEY = made.reveal().toString("base64");
    expect(readSecretKey({ environment: { VDC_SECRET_KEY } }).reveal().equals(made.reveal())).toBe(true);
    expect(readSecretKey({ environment: { VDC_SECRET_PASSPHRASE: "long enough" } }).kind).toBe("passphrase");
  });

  it("is refused when it is absent, malformed, or readable by others", () => {
    const denied = (run: () => unknown, reason: string): void => {
      expect(run).toThrow(expect.objectContaining({ code: "PERMISSION_DENIED", reason }));
    };
    denied(() => readSecretKey({ environment: {} }), "VDC_SECRET_NO_KEY");
    denied(() => readSecretKey({ keyFile: join(folder, "absent") }), "VDC_SECRET_NO_KEY");
    denied(() => readSecretKey({ environment: { VDC_SECRET_KEY: "c2hvcnQ=" } }), "VDC_SECRET_BAD_KEY");
    const keyFile = join(folder, "key");
    writeFileSync(keyFile, randomBytes(32).toString("base64"));
    chmodSync(keyFile, 0o640);
    denied(() => readSecretKey({ keyFile }), "VDC_SECRET_KEY_EXPOSED");
  });
});
