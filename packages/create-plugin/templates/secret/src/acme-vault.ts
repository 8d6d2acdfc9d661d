import { randomBytes } from "node:crypto";
import {
  type Description,
  type OperationContext,
  type Page,
  type PageRequest,
  refuseWhenOver,
  VdcError,
} from "@vdc-os/core";
import type { SecretStore } from "@vdc-os/core/secret/v1";
import type { MemoryVault } from "./memory-vault.ts";
import { version } from "./version.ts";

type Input<Name extends Exclude<keyof SecretStore, "facets">> = Parameters<SecretStore[Name]>[0];

/** The secret store API on the vault. */
export class AcmeVault implements SecretStore {
  readonly #vault: MemoryVault;

  constructor(vault: MemoryVault) {
    this.#vault = vault;
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@acme/vdc-secret", version, simulated: true },
      facets: {},
      attributes: {},
    };
  }

  async resolve({ name, version }: Input<"resolve">): Promise<{ readonly value: string; readonly version: number }> {
    const versions = this.#versionsOf(name);
    const wanted = version ?? versions.length;
    const value = versions[wanted - 1];
    if (value === undefined) throw new VdcError("NOT_FOUND", `secret '${name}' has no version ${wanted}`);
    return { value, version: wanted };
  }

  async put({ name, value }: Input<"put">, context: OperationContext): Promise<{ readonly version: number }> {
    refuseWhenOver(context);
    const versions = this.#vault.secrets.get(name) ?? [];
    // A repeated put of the same value is the same put.
    if (versions.at(-1) !== value) this.#vault.secrets.set(name, [...versions, value]);
    return { version: this.#versionsOf(name).length };
  }

  async rotate({ name, bytes }: Input<"rotate">, context: OperationContext): Promise<{ readonly version: number }> {
    this.#versionsOf(name);
    return this.put({ name, value: randomBytes(bytes).toString("base64url") }, context);
  }

  async remove({ name }: Input<"remove">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    this.#vault.secrets.delete(name);
  }

  async list(input: PageRequest): Promise<Page<{ readonly name: string; readonly version: number }>> {
    const { limit = 100, pageToken = "after:" } = input;
    if (!pageToken.startsWith("after:")) throw new VdcError("ABORTED", "the page token is unknown: begin again");
    const names = [...this.#vault.secrets.keys()].sort().filter((name) => `after:${name}` > pageToken);
    const items = names.slice(0, limit).map((name) => ({ name, version: this.#versionsOf(name).length }));
    return names.length > limit ? { items, nextPageToken: `after:${items.at(-1)?.name}` } : { items };
  }

  #versionsOf(name: string): readonly string[] {
    const versions = this.#vault.secrets.get(name);
    if (versions === undefined) throw new VdcError("NOT_FOUND", `there is no secret '${name}'`);
    return versions;
  }
}
