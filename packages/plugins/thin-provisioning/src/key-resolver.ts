import { type Handle, isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { SecretStore } from "@vdc-os/core/secret/v1";
import type { NewEncryption } from "@vdc-os/qcow2";
import { type EncryptionRecord, isSameKey, type KeyRecord, secretRefOf } from "./key-reference.ts";
import type { VolumeCatalog } from "./volume-catalog.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import type { VolumeRecord } from "./volume-record.ts";
import { VolumeKeys } from "./volume-keys.ts";

/** What trying a key costs by default, in rounds of PBKDF2: the least there is, since a key is random. */
export const defaultKeyIterations = 1000;

/** What makes up for a key that a person could remember. */
const strongIterations = 600_000;
/** 128 bits take that many characters of base64url. */
const strongBytes = 22;
const maxBytes = 512;

/** Options of {@link KeyResolver}. */
export interface KeyResolverOptions {
  readonly catalog: VolumeCatalog;
  /** Where keys are kept. `undefined` where there is no secret store. */
  readonly secrets: Pick<Handle<SecretStore>, "resolve"> | undefined;
  /** The key of volumes that name none. `undefined` when those are not encrypted. */
  readonly defaultKeyRef: string | undefined;
  readonly iterations: number;
}

/** A key, and what says where it is kept. */
export interface ResolvedKey {
  readonly record: KeyRecord;
  readonly passphrase: Buffer;
}

/** How a new volume is encrypted: what its record says, and what its image is made with. */
export interface NewVolumeEncryption {
  readonly record: EncryptionRecord;
  readonly image: NewEncryption;
}

/** Where keys come from: resolved for each call, and kept nowhere. */
export class KeyResolver {
  readonly #options: KeyResolverOptions;

  constructor(options: KeyResolverOptions) {
    this.#options = options;
  }

  get hasStore(): boolean {
    return this.#options.secrets !== undefined;
  }

  get defaultKeyRef(): string | undefined {
    return this.#options.defaultKeyRef;
  }

  /**
   * The keys of a volume and of those that it reads from. Errors: `PERMISSION_DENIED` for a key that can't be read; what the secret store throws when it does not answer.
   * Where a volume is given another key, one of the two is enough, unless `needsNext` asks for that.
   */
  async keysOf(
    entry: VolumeEntry,
    context: OperationContext,
    { needsNext = false }: { readonly needsNext?: boolean } = {},
  ): Promise<VolumeKeys> {
    const keys = new Map<string, readonly Buffer[]>();
    // Thousands of clones have the key of the one that they were made of.
    const known = new Map<string, Promise<ResolvedKey>>();
    const resolve = (one: KeyRecord): Promise<ResolvedKey> => {
      const id = `${secretRefOf(one.keyRef).name}@${one.version}`;
      const resolving = known.get(id) ?? this.#resolve(one, context);
      known.set(id, resolving);
      return resolving;
    };
    for (let at: VolumeEntry | undefined = entry; at !== undefined; ) {
      const { encryption, parentVolumeId }: VolumeRecord = at.record;
      if (encryption !== undefined)
        keys.set(at.volumeId, await candidatesOf(encryption, resolve, needsNext && at === entry));
      at = parentVolumeId === undefined ? undefined : this.#options.catalog.find(parentVolumeId);
    }
    return new VolumeKeys(this.#options.iterations, keys);
  }

  /** How a volume is encrypted that is made now: with the key that is asked for, else that of the volume it reads from, else the pool's. */
  async forNewVolume(
    keyRef: string | undefined,
    parent: VolumeEntry | undefined,
    context: OperationContext,
  ): Promise<NewVolumeEncryption | undefined> {
    const inherited = parent?.record.encryption;
    const { defaultKeyRef, iterations } = this.#options;
    let key: ResolvedKey;
    if (keyRef === undefined && inherited !== undefined)
      key = await this.#resolve(inherited.nextKey ?? inherited.key, context);
    else if ((keyRef ?? defaultKeyRef) === undefined) return undefined;
    else key = await this.resolve((keyRef ?? defaultKeyRef) as string, context);
    return { record: { key: key.record }, image: { passphrase: key.passphrase, iterations } };
  }

  /** A key that a volume is to get. Besides what {@link keysOf} throws, `INVALID_ARGUMENT` for one that could be guessed. */
  async resolve(keyRef: string, context: OperationContext): Promise<ResolvedKey> {
    const key = await this.#resolve({ keyRef, version: secretRefOf(keyRef).version }, context);
    const { length } = key.passphrase;
    if (length < strongBytes && this.#options.iterations < strongIterations) {
      throw new VdcError(
        "INVALID_ARGUMENT",
        `key '${keyRef}' has ${length} bytes: a random one has ${strongBytes} at least, and any other needs 'keyIterations' of ${strongIterations}`,
        { reason: "VDC_KEY_TOO_WEAK" },
      );
    }
    return key;
  }

  async #resolve(
    key: { readonly keyRef: string; readonly version: number | undefined },
    context: OperationContext,
  ): Promise<ResolvedKey> {
    const { keyRef } = key;
    const { secrets } = this.#options;
    if (secrets === undefined) throw unavailable(keyRef, "there is no secret store");
    const { name } = secretRefOf(keyRef);
    const reference = key.version === undefined ? { name } : { name, version: key.version };
    let found: { readonly value: string; readonly version: number };
    try {
      found = await secrets.resolve(reference, context);
    } catch (error) {
      // What passes by itself stays what it is.
      if (isVdcError(error) && (error.retryable || error.code === "CANCELLED")) throw error;
      throw unavailable(keyRef, isVdcError(error) ? error.message : "the secret store failed", error);
    }
    const passphrase = Buffer.from(found.value);
    if (passphrase.length === 0 || passphrase.length > maxBytes) {
      throw unavailable(keyRef, `it has ${passphrase.length} bytes, and a key has 1 to ${maxBytes}`);
    }
    return { record: { keyRef, version: found.version }, passphrase };
  }
}

/** The keys that a volume's images may have, first the one that new images get. */
async function candidatesOf(
  { key, nextKey }: EncryptionRecord,
  resolve: (key: KeyRecord) => Promise<ResolvedKey>,
  needsNext: boolean,
): Promise<readonly Buffer[]> {
  if (nextKey === undefined || isSameKey(key, nextKey)) return [(await resolve(key)).passphrase];
  const [next, old] = await Promise.allSettled([resolve(nextKey), resolve(key)]);
  if (next.status === "rejected" && (needsNext || old.status === "rejected")) throw next.reason;
  return [next, old].flatMap((result) => (result.status === "fulfilled" ? [result.value.passphrase] : []));
}

function unavailable(keyRef: string, why: string, cause?: unknown): VdcError {
  return new VdcError("PERMISSION_DENIED", `key '${keyRef}' can't be read: ${why}`, {
    reason: "VDC_KEY_UNAVAILABLE",
    cause,
  });
}
