import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { isVdcError, VdcError } from "@vdc-os/core";
import type { Attachment } from "@vdc-os/core/storage/v1";
import type { NbdClient } from "@vdc-os/nbd";
import { Qcow2Image } from "@vdc-os/qcow2";
import { expect } from "vitest";
import { layersBelow } from "../src/no-backing.ts";
import type { OpenThinPoolOptions } from "../src/thin-pool.ts";
import type { HostKind } from "./test-host.ts";
import { connectTo, context, createTestPool, mib, type TestPool } from "./test-pool.ts";
import { createTestSecrets, keys, type TestSecrets } from "./test-secrets.ts";

/** What a guest writes, and can be looked for. */
export const marker: Buffer = Buffer.from("what the guest wrote, and nobody may read ");
export const sector: Buffer = Buffer.alloc(4096, marker);
export const capacityBytes: number = 8 * mib;

/** A pool with a secret store. */
export interface EncryptedPool extends TestPool {
  readonly secrets: TestSecrets;
}

export async function createPool(kind: HostKind, config: Partial<OpenThinPoolOptions> = {}): Promise<EncryptedPool> {
  const secrets = createTestSecrets();
  return Object.assign(await createTestPool(kind, { secrets, ...config }), { secrets });
}

let generation = 0;

export function attach({ provider }: TestPool, volumeId: string, more = {}): Promise<Attachment> {
  return provider.attachVolume(
    { volumeId, host: "host-a", access: "readWrite", generation: ++generation, ...more },
    context(),
  );
}

export async function detach({ provider }: TestPool, { volumeId, host, generation }: Attachment): Promise<void> {
  await provider.detachVolume({ volumeId, host, generation }, context());
}

/** Does something with a client of a volume that is attached meanwhile. */
export async function connected<T>(
  test: TestPool,
  volumeId: string,
  work: (client: NbdClient, attachment: Attachment) => Promise<T>,
): Promise<T> {
  const attachment = await attach(test, volumeId);
  const client = await connectTo(attachment);
  try {
    return await work(client, attachment);
  } finally {
    await client.close().catch(() => {});
    await detach(test, attachment);
  }
}

export async function make(
  test: TestPool,
  name = "disk",
  more: Readonly<Record<string, string>> = {},
): Promise<string> {
  const parameters = { encryption: "luks", keyRef: "key-1", ...more };
  return (await test.provider.createVolume({ name, capacityBytes, parameters }, context())).volumeId;
}

export async function read(client: NbdClient, offset: number): Promise<Buffer> {
  const data = Buffer.alloc(4096);
  await client.read(data, offset);
  return data;
}

export function encryptionOf({ provider }: TestPool): NonNullable<typeof provider.facets.encryption> {
  const { encryption } = provider.facets;
  if (encryption === undefined) throw new Error("the facet must be there");
  return encryption;
}

export function rotate(test: TestPool, volumeId: string, keyRef: string): Promise<void> {
  return encryptionOf(test).rotateKey({ volumeId, keyRef }, context());
}

/** What an operation fails with: its code and reason. */
export async function failure(action: Promise<unknown>): Promise<readonly [string, string]> {
  const error = await action.then(
    () => new VdcError("INTERNAL", "it succeeded"),
    (thrown: unknown) => thrown,
  );
  if (!isVdcError(error)) throw error;
  for (const key of Object.values(keys)) expect(JSON.stringify(error.toJSON())).not.toContain(key);
  return [error.code, error.reason];
}

/** The files below a folder that hold some bytes, with those that are seen through a process's memory of them: sockets and pipes are none. */
export function filesWith(folder: string, ...wanted: readonly (string | Buffer)[]): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const content = contentOf(path);
      return wanted.some((bytes) => content.includes(bytes));
    });
}

/** What a file holds; nothing when it is none, or is gone by now: a storage process that works replaces some. */
function contentOf(path: string): Buffer {
  try {
    return statSync(path).isFile() ? readFileSync(path) : Buffer.alloc(0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return Buffer.alloc(0);
  }
}

/** The keys, as they are and as they go over a wire. */
export const secretBytes: readonly string[] = [
  ...Object.values(keys),
  ...Object.values(keys).map((key) => Buffer.from(key).toString("base64")),
];

/** All images of a pool. */
export function imagesOf({ pool }: TestPool): readonly string[] {
  return readdirSync(pool.layout.volumes, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".qcow2"))
    .map((name) => join(pool.layout.volumes, name));
}

/** Whether a key opens an image by itself. */
export async function opens(path: string, key: string): Promise<boolean> {
  try {
    const image = await Qcow2Image.open(path, {
      readOnly: true,
      lock: false,
      passphrase: Buffer.from(key),
      resolveBacking: layersBelow(0),
    });
    await image.close();
    return true;
  } catch (error) {
    if ((error as { readonly code?: string }).code === "WRONG_PASSPHRASE") return false;
    throw error;
  }
}

/** Connects again and again until the export is there, as a VM does within its reconnect-delay. */
export async function reconnect(attachment: Attachment): Promise<NbdClient> {
  const giveUp = Date.now() + 45_000;
  for (;;) {
    try {
      return await connectTo(attachment);
    } catch (error) {
      if (Date.now() > giveUp) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
