import { type Generation, type OperationContext, VdcError } from "@vdc-os/core";
import type { Attachment, AttachVolume } from "@vdc-os/core/storage/v1";
import { controllerRpcs } from "../spec/controller-service.ts";
import type { Stored } from "./csi-catalog.ts";
import type { VolumeRecord } from "./records.ts";
import type { VolumeEngine } from "./volume-engine.ts";

/** Attaches volumes to hosts and cuts them off. CSI has no generations: they are kept, and the highest one is never forgotten. */
export class Attachments {
  readonly #engine: VolumeEngine;

  constructor(engine: VolumeEngine) {
    this.#engine = engine;
  }

  async attach(input: AttachVolume, context: OperationContext): Promise<Attachment> {
    const { volumeId, host, access, generation } = input;
    return this.#alone(volumeId, "attach", async () => {
      let stored = await this.#engine.catalog.volume(volumeId, context);
      const { owner, highest, name, accessibleHosts } = stored.value;
      if (owner !== undefined && owner.generation === generation) {
        const { publication } = owner;
        if (publication.host !== host || publication.access !== access) {
          throw new VdcError(
            "FAILED_PRECONDITION",
            `volume '${name}' is attached to host '${publication.host}' (${publication.access}) with generation ${generation}`,
            { blockers: [{ kind: "Host", name: publication.host }] },
          );
        }
        return this.#publish(stored, context);
      }
      if (generation <= highest) throw fenced(name, generation, highest);
      if (accessibleHosts !== undefined && !accessibleHosts.includes(host)) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${name}' can't be reached from host '${host}'`);
      }
      // Before the old owner is cut off, so that a host that is not there costs it nothing.
      const publication = await this.#engine.publisher.plan(
        {
          host,
          access,
          csiId: stored.value.backing.csiId as string,
          stageKey: volumeId,
          targetKey: `${volumeId}-${generation}`,
        },
        context,
      );
      stored = await this.#cut(stored, context);
      stored = await this.#engine.catalog.volumes.update(
        stored,
        { ...stored.value, highest: generation, owner: { generation, publication } },
        context,
      );
      return this.#publish(stored, context);
    });
  }

  async detach(
    input: { readonly volumeId: string; readonly host: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void> {
    const { volumeId, host, generation } = input;
    await this.#alone(volumeId, "detach", async () => {
      const stored = await this.#engine.catalog.volumes.find(volumeId, context);
      const owner = stored?.value.owner;
      if (stored === undefined || owner?.generation !== generation || owner.publication.host !== host) return;
      await this.#cut(stored, context);
    });
  }

  async revoke(
    { volumeId, generation }: { readonly volumeId: string; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void> {
    await this.#alone(volumeId, "revoke", async () => {
      let stored = await this.#engine.catalog.volume(volumeId, context);
      if (generation > stored.value.highest) {
        stored = await this.#engine.catalog.volumes.update(stored, { ...stored.value, highest: generation }, context);
      }
      const { owner } = stored.value;
      if (owner !== undefined && owner.generation <= generation) await this.#cut(stored, context);
    });
  }

  async get(volumeId: string, context: OperationContext): Promise<Attachment | undefined> {
    return this.#attachmentOf((await this.#engine.catalog.volume(volumeId, context)).value, context);
  }

  #alone<T>(volumeId: string, what: string, run: () => Promise<T>): Promise<T> {
    return this.#engine.busy.alone(`volume ${volumeId}`, what, run);
  }

  /** Publishes what is on record, or does so again: every step can be repeated. */
  async #publish(stored: Stored<VolumeRecord>, context: OperationContext): Promise<Attachment> {
    const { catalog, publisher } = this.#engine;
    const present = await this.#attachmentOf(stored.value, context);
    if (present !== undefined) return present;
    let clean = stored;
    const { owner, backing, leftovers } = stored.value;
    if (owner === undefined)
      throw new VdcError("INTERNAL", `volume '${stored.value.name}' has no owner to publish for`);
    const { host } = owner.publication;
    for (const leftover of leftovers.filter((entry) => entry.host === host)) {
      await publisher.clear(leftover, context);
      const rest = clean.value.leftovers.filter((entry) => entry.targetPath !== leftover.targetPath);
      clean = await catalog.volumes.update(clean, { ...clean.value, leftovers: rest }, context);
    }
    const publication = await publisher.publish(owner.publication, backing.volumeContext, context);
    if (clean.value.nodeExpansion === true) await publisher.expand(publication, clean.value.capacityBytes, context);
    const published = await catalog.volumes.update(
      clean,
      { ...clean.value, owner: { ...owner, publication }, nodeExpansion: undefined },
      context,
    );
    return (await this.#attachmentOf(published.value, context)) as Attachment;
  }

  /** Ends the present publication, if any. When it returns, that is on record. */
  async #cut(stored: Stored<VolumeRecord>, context: OperationContext): Promise<Stored<VolumeRecord>> {
    const { owner, leftovers } = stored.value;
    if (owner === undefined) return stored;
    const cleared = await this.#engine.publisher.unpublish(owner.publication, context);
    const left = cleared ? leftovers : [...leftovers, owner.publication];
    return this.#engine.catalog.volumes.update(stored, { ...stored.value, owner: undefined, leftovers: left }, context);
  }

  async #attachmentOf({ volumeId, owner }: VolumeRecord, context: OperationContext): Promise<Attachment | undefined> {
    if (owner?.publication.transport === undefined) return undefined;
    const { host, access, transport } = owner.publication;
    const fencing = await this.fencing(context);
    return { volumeId, host, access, generation: owner.generation, transport, fencing, loses: {} };
  }

  /** What is known of the driver. */
  async fencing(context: OperationContext): Promise<"detach" | "none"> {
    const { config, driver } = this.#engine;
    if (config.fencing !== undefined) return config.fencing;
    // What was said last will do: an attachment can be asked for while the driver is away.
    const { controllerRpcs: can } = driver.connection.lastFacts ?? (await driver.facts(context));
    return can.has(controllerRpcs.publishUnpublishVolume) ? "detach" : "none";
  }
}

function fenced(name: string, asked: Generation, newest: Generation): VdcError {
  return new VdcError(
    "FAILED_PRECONDITION",
    `volume '${name}' has seen attachment generation ${newest}: ${asked} is fenced`,
    { reason: "VDC_FENCED", retryable: false, details: { asked, newest } },
  );
}
