import {
  type Description,
  type OperationContext,
  type Page,
  type PageRequest,
  type Random,
  VdcError,
} from "@vdc-os/core";
import { type SecretRef, type SecretStore, secretStore } from "@vdc-os/core/secret/v1";
import { pageByKey } from "@vdc-os/core";
import { describeSimulated } from "../world/simulated-description.ts";

/** Secrets in memory. What it rotates to follows from the world's seed, so it keeps nothing that deserves the name. */
export class SimulatedSecretStore implements SecretStore {
  readonly #secrets: Map<string, readonly string[]> = new Map();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  async describe(): Promise<Description> {
    return describeSimulated(secretStore, { available: {}, attributes: {} });
  }

  async resolve({ name, version }: SecretRef): Promise<{ readonly value: string; readonly version: number }> {
    const values = this.#valuesOf(name);
    const wanted = version ?? values.length;
    const value = values[wanted - 1];
    if (value === undefined) throw new VdcError("NOT_FOUND", `secret '${name}' has no version ${wanted}`);
    return { value, version: wanted };
  }

  async put({ name, value }: { readonly name: string; readonly value: string }): Promise<{ readonly version: number }> {
    const values = this.#secrets.get(name) ?? [];
    if (values.at(-1) === value) return { version: values.length };
    this.#secrets.set(name, [...values, value]);
    return { version: values.length + 1 };
  }

  async rotate({
    name,
    bytes,
  }: {
    readonly name: string;
    readonly bytes: number;
  }): Promise<{ readonly version: number }> {
    this.#valuesOf(name);
    const value = Buffer.from(Array.from({ length: bytes }, () => Math.floor(this.#random.next() * 256)));
    return this.put({ name, value: value.toString("base64url") });
  }

  async remove({ name }: { readonly name: string }): Promise<void> {
    this.#secrets.delete(name);
  }

  async list(
    input: PageRequest,
    _context: OperationContext,
  ): Promise<Page<{ readonly name: string; readonly version: number }>> {
    const all = [...this.#secrets].map(([name, values]) => ({ name, version: values.length }));
    return pageByKey(all, ({ name }) => name, input);
  }

  #valuesOf(name: string): readonly string[] {
    const values = this.#secrets.get(name);
    if (values === undefined) throw new VdcError("NOT_FOUND", `there is no secret '${name}'`);
    return values;
  }
}
