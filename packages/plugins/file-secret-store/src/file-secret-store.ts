import { randomBytes } from "node:crypto";
import { type BigIntStats, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import {
  type DescribeInput,
  type Description,
  isCancellable,
  type OperationContext,
  type Page,
  type PageRequest,
  toVdcError,
  VdcError,
} from "@vdc-os/core";
import type { SecretRef, SecretStore } from "@vdc-os/core/secret/v1";
import { z } from "zod";
import { removePartials, replaceFile } from "./replace-file.ts";
import { createSeal, seal, type Unlocked, unseal } from "./sealed-file.ts";
import type { SecretKey } from "./secret-key.ts";

/** Options of {@link FileSecretStore.open}. */
export interface OpenFileSecretStoreOptions {
  /** The encrypted file. It and its folder are made when they are absent. */
  readonly path: string;
  readonly key: SecretKey;
  /** How many versions of a secret are kept, at least 2. Defaults to `10`. */
  readonly keepVersions?: number | undefined;
  /** The cost of scrypt for a new file with a passphrase, a power of two. Defaults to 2^17. */
  readonly scryptCost?: number | undefined;
}

interface Version {
  readonly version: number;
  readonly value: string;
}

/** Versions by name, oldest first; never empty. */
type Secrets = ReadonlyMap<string, readonly Version[]>;

const content = z.array(
  z.tuple([z.string(), z.array(z.object({ version: z.int().positive(), value: z.string() })).min(1)]),
);

const maxValueLength = 65_536;
const maxFileBytes = 64 * 1024 * 1024;
const defaultPage = 1_000;

/**
 * Secrets in one file, encrypted with AES-256-GCM. A call that returned is on disk; the file is replaced whole.
 *
 * Everything that holds a value is private to the instance, so printing, serialising or logging it shows none. Another process that
 * replaces the file is noticed before the next call; two that write in the same instant are not kept apart: use one writer.
 */
export class FileSecretStore implements SecretStore {
  /** The encrypted file. */
  readonly path: string;
  readonly #key: SecretKey;
  readonly #keepVersions: number;
  #unlocked: Unlocked | undefined;
  #secrets: Secrets = new Map();
  /** Which file the secrets were read from. */
  #identity: string | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  /**
   * Opens the file, and makes it when it is absent. Fails with `PERMISSION_DENIED` for a wrong key (`VDC_SECRET_WRONG_KEY`), and with
   * `DATA_LOSS` for a damaged file (`VDC_SECRET_DAMAGED`).
   */
  static async open(options: OpenFileSecretStoreOptions): Promise<FileSecretStore> {
    const store = new FileSecretStore(options);
    removePartials(store.path);
    if (identityOf(store.path) === undefined) {
      store.#unlocked = await createSeal(options.key, { scryptCost: options.scryptCost });
      store.#save(new Map());
    } else {
      await store.#refresh();
    }
    return store;
  }

  private constructor(options: OpenFileSecretStoreOptions) {
    this.path = resolve(options.path);
    this.#key = options.key;
    this.#keepVersions = Math.max(2, options.keepVersions ?? 10);
  }

  async describe(_input: DescribeInput, context: OperationContext): Promise<Description> {
    this.#enter(context);
    return {
      implementation: { name: "@vdc-os/plugin-file-secret-store", version: "0.1.0", simulated: false },
      facets: {},
      attributes: { cipher: "aes-256-gcm", keyFrom: this.#key.kind, keepVersions: this.#keepVersions },
    };
  }

  resolve(input: SecretRef, context: OperationContext): Promise<{ readonly value: string; readonly version: number }> {
    return this.#exclusive(context, () => {
      const versions = this.#versionsOf(input.name);
      const found =
        input.version === undefined ? versions.at(-1) : versions.find(({ version }) => version === input.version);
      if (found === undefined) {
        throw new VdcError(
          "NOT_FOUND",
          `secret '${input.name}' has no version ${input.version}, or it is too old and gone`,
          {
            details: { name: input.name, newest: versions.at(-1)?.version ?? 0 },
          },
        );
      }
      return { value: found.value, version: found.version };
    });
  }

  put(
    input: { readonly name: string; readonly value: string },
    context: OperationContext,
  ): Promise<{ readonly version: number }> {
    return this.#exclusive(context, () => {
      const { name, value } = input;
      if (value.length > maxValueLength) {
        throw new VdcError(
          "INVALID_ARGUMENT",
          `the value of secret '${name}' has ${value.length} characters, and at most ${maxValueLength} are allowed`,
        );
      }
      const newest = this.#secrets.get(name)?.at(-1);
      return newest?.value === value ? { version: newest.version } : this.#add(name, value);
    });
  }

  rotate(
    input: { readonly name: string; readonly bytes: number },
    context: OperationContext,
  ): Promise<{ readonly version: number }> {
    return this.#exclusive(context, () => {
      const { name, bytes } = input;
      if (!Number.isInteger(bytes) || bytes < 16 || bytes > 4096) {
        throw new VdcError("INVALID_ARGUMENT", `a rotation of secret '${name}' must be of 16 to 4096 bytes`);
      }
      this.#versionsOf(name);
      return this.#add(name, randomBytes(bytes).toString("base64url"));
    });
  }

  remove(input: { readonly name: string }, context: OperationContext): Promise<void> {
    return this.#exclusive(context, () => {
      if (!this.#secrets.has(input.name)) return;
      const secrets = new Map(this.#secrets);
      secrets.delete(input.name);
      this.#save(secrets);
    });
  }

  list(
    input: PageRequest,
    context: OperationContext,
  ): Promise<Page<{ readonly name: string; readonly version: number }>> {
    return this.#exclusive(context, () => {
      const after = input.pageToken === undefined ? "" : readToken(input.pageToken);
      const names = [...this.#secrets.keys()].sort().filter((name) => name > after);
      const page = names.slice(0, input.limit ?? defaultPage);
      const last = page.at(-1);
      return {
        items: page.map((name) => ({ name, version: this.#versionsOf(name).at(-1)?.version ?? 0 })),
        ...(last === undefined || page.length === names.length ? {} : { nextPageToken: writeToken(last) }),
      };
    });
  }

  /** Forgets the secrets. Calls after it fail with `UNAVAILABLE`. */
  async close(): Promise<void> {
    await this.#last;
    this.#closed = true;
    this.#secrets = new Map();
    this.#unlocked?.dataKey.fill(0);
    this.#unlocked = undefined;
  }

  #add(name: string, value: string): { readonly version: number } {
    const versions = this.#secrets.get(name) ?? [];
    const version = (versions.at(-1)?.version ?? 0) + 1;
    const kept = [...versions, { version, value }].slice(-this.#keepVersions);
    this.#save(new Map(this.#secrets).set(name, kept));
    return { version };
  }

  #versionsOf(name: string): readonly Version[] {
    const versions = this.#secrets.get(name);
    if (versions !== undefined) return versions;
    throw new VdcError("NOT_FOUND", `there is no secret '${name}': put it first`, { details: { name } });
  }

  /** One call after the other, each on the file as it is now. */
  #exclusive<T>(context: OperationContext, run: () => T): Promise<T> {
    const result = this.#last.then(async () => {
      this.#enter(context);
      await this.#refresh();
      return run();
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #refresh(): Promise<void> {
    const identity = identityOf(this.path);
    if (identity === undefined) {
      throw new VdcError("DATA_LOSS", `the secret file '${this.path}' is gone: put a backup in its place`, {
        reason: "VDC_SECRET_DAMAGED",
      });
    }
    if (identity === this.#identity) return;
    const opened = await unseal(this.path, readText(this.path), this.#key, this.#unlocked);
    const parsed = content.safeParse(JSON.parse(opened.content));
    // It was authenticated: only a newer version can have written something else.
    if (!parsed.success)
      throw new VdcError("DATA_LOSS", `the secret file '${this.path}' was written by an unknown version`);
    this.#unlocked = opened.unlocked;
    this.#secrets = new Map(parsed.data);
    this.#identity = identity;
  }

  #save(secrets: Secrets): void {
    if (this.#unlocked === undefined) throw new VdcError("INTERNAL", `the secret file '${this.path}' is locked`);
    const text = seal(this.#unlocked, JSON.stringify([...secrets]));
    if (text.length > maxFileBytes) {
      throw new VdcError(
        "RESOURCE_EXHAUSTED",
        `the secret file '${this.path}' would be larger than ${maxFileBytes} bytes`,
      );
    }
    replaceFile(this.path, text);
    this.#secrets = secrets;
    this.#identity = identityOf(this.path);
  }

  #enter(context: OperationContext): void {
    if (this.#closed) throw new VdcError("UNAVAILABLE", `the secret store '${this.path}' is closed`);
    if (isCancellable(context) && context.signal.aborted) throw toVdcError(context.signal.reason);
  }
}

/** Tells one file from another that replaced it. */
function identityOf(path: string): string | undefined {
  const stats: BigIntStats | undefined = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? undefined : `${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new VdcError(
      "PERMISSION_DENIED",
      `the secret file '${path}' can't be read (${code}): check its owner and mode`,
    );
  }
}

function writeToken(name: string): string {
  return Buffer.from(`after:${name}`).toString("base64url");
}

function readToken(token: string): string {
  const [, name] = /^after:([a-z0-9.-]{1,63})$/.exec(Buffer.from(token, "base64url").toString("utf8")) ?? [];
  if (name === undefined)
    throw new VdcError("ABORTED", "the page token is not one of this store: begin the list again");
  return name;
}
