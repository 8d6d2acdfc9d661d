/**
 * The intent journal: what is about to be done outside, written down before it is done. After a crash it says where to look for what
 * may have been made, and which names not to sweep.
 *
 * ```ts
 * const intent = await context.journal.begin({ object, provider: "ceph", action: "create", externalName });
 * await provider.create({ name: externalName, owner: context.ownerStamp }, context.operation);
 * await context.journal.done(intent);
 * ```
 */
import { createHash } from "node:crypto";
import type { Clock, Json, OwnerStamp } from "@vdc-os/core";
import { toJson } from "../resource/field-path.ts";
import { type ObjectKey, type Resource, type ResourceReference, referenceTo } from "../resource/resource.ts";
import { listEntries, type StateAccess } from "../store/state-access.ts";

/** Something that is about to be done, or may have been done, outside. */
export interface Intent {
  readonly id: string;
  /** The object that it is done for. */
  readonly target: ResourceReference;
  /** The provider that is called. */
  readonly provider: string;
  /** What it is asked for: `create`, `delete`, `attach`. */
  readonly action: string;
  /** The name, or id, that the thing has there. */
  readonly externalName: string;
  /** The stamp that the thing bears. */
  readonly owner: OwnerStamp;
  /** When it was begun, in milliseconds since 1970. */
  readonly beganAt: number;
}

/** What {@link IntentJournal.begin} writes down. */
export interface BeginIntentOptions {
  /** The object that it is done for. */
  readonly object: Resource;
  readonly provider: string;
  readonly action: string;
  readonly externalName: string;
  readonly signal?: AbortSignal | undefined;
}

const journalPrefix = "journal/";

/** See the top of this file. */
export class IntentJournal {
  readonly #state: StateAccess;
  readonly #clock: Clock;
  readonly #datacenter: string;

  constructor(options: { readonly state: StateAccess; readonly clock: Clock; readonly datacenter: string }) {
    this.#state = options.state;
    this.#clock = options.clock;
    this.#datacenter = options.datacenter;
  }

  /** The stamp of what is made outside for an object. */
  stampOf(object: Resource): OwnerStamp {
    const { tenant, name, uid } = object.metadata;
    return { datacenter: this.#datacenter, tenant, kind: object.kind, name, uid };
  }

  /** Writes an intent down; it is on disk when this returns. The same intent again is the same record. */
  async begin(options: BeginIntentOptions): Promise<Intent> {
    const { object, provider, action, externalName, signal } = options;
    const target = referenceTo(object);
    // Named by its content, so that a controller that runs again after a crash takes up the record that it wrote before.
    const digest = createHash("sha256")
      .update(JSON.stringify([target.uid, provider, action, externalName]))
      .digest("hex");
    const id = `${target.tenant}/${target.kind}/${target.name}/${digest.slice(0, 32)}`;
    const owner = this.stampOf(object);
    const intent: Intent = { id, target, provider, action, externalName, owner, beganAt: this.#clock.now() };
    const operations = [{ type: "put" as const, key: journalPrefix + id, value: toJson(intent) as Json }];
    await this.#state.transact({ compare: [], operations }, { signal });
    return intent;
  }

  /** Strikes an intent out: what it was about is known to be done, or to be undone. */
  async done(intent: Intent, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const operations = [{ type: "delete" as const, key: journalPrefix + intent.id }];
    await this.#state.transact({ compare: [], operations }, { signal: options.signal });
  }

  /** The intents that were begun and not struck out, of one object or of all. */
  async pending(
    options: { readonly kind?: string; readonly key?: ObjectKey; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<readonly Intent[]> {
    const { kind, key, signal } = options;
    const prefix = kind === undefined || key === undefined ? "" : `${key.tenant}/${kind}/${key.name}/`;
    const { entries } = await listEntries(this.#state, journalPrefix + prefix, { signal });
    return entries.map(({ value }) => value as unknown as Intent);
  }
}
