import { randomBytes } from "node:crypto";
import {
  type DescribeInput,
  type Description,
  type OperationContext,
  type Page,
  type PageRequest,
  refuseWhenOver,
  VdcError,
} from "@vdc-os/core";
import type { SecretRef, SecretStore } from "@vdc-os/core/secret/v1";

/** The smallest secret store that meets the contract, in memory. The suite is proved with it; tests may use it as a fake. */
export class MemorySecretStore implements SecretStore {
  readonly #secrets: Map<string, readonly string[]>;

  /** With another store, keeps what that one keeps: as after a restart. */
  constructor(former?: MemorySecretStore) {
    this.#secrets = former === undefined ? new Map() : former.#secrets;
  }

  async describe(_input: DescribeInput, _context: OperationContext): Promise<Description> {
    return { implementation: { name: "memory", version: "1.0.0", simulated: true }, facets: {}, attributes: {} };
  }

  async resolve(
    { name, version }: SecretRef,
    _context: OperationContext,
  ): Promise<{ readonly value: string; readonly version: number }> {
    const values = this.#valuesOf(name);
    const wanted = version ?? values.length;
    const value = values[wanted - 1];
    if (value === undefined) throw new VdcError("NOT_FOUND", `secret '${name}' has no version ${wanted}`);
    return { value, version: wanted };
  }

  async put(
    { name, value }: { readonly name: string; readonly value: string },
    context: OperationContext,
  ): Promise<{ readonly version: number }> {
    refuseWhenOver(context);
    const values = this.#secrets.get(name) ?? [];
    if (values.at(-1) === value) return { version: values.length };
    this.#secrets.set(name, [...values, value]);
    return { version: values.length + 1 };
  }

  async rotate(
    { name, bytes }: { readonly name: string; readonly bytes: number },
    context: OperationContext,
  ): Promise<{ readonly version: number }> {
    refuseWhenOver(context);
    this.#valuesOf(name);
    return this.put({ name, value: randomBytes(bytes).toString("base64url") }, context);
  }

  async remove({ name }: { readonly name: string }, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    this.#secrets.delete(name);
  }

  async list(
    { limit = 1000, pageToken = "" }: PageRequest,
    _context: OperationContext,
  ): Promise<Page<{ readonly name: string; readonly version: number }>> {
    if (pageToken !== "" && !pageToken.startsWith("after:"))
      throw new VdcError("ABORTED", "an unknown page token: begin again");
    const names = [...this.#secrets.keys()].sort().filter((name) => name > pageToken.slice("after:".length));
    const page = names.slice(0, limit);
    return {
      items: page.map((name) => ({ name, version: this.#secrets.get(name)?.length ?? 0 })),
      ...(page.length === names.length ? {} : { nextPageToken: `after:${page.at(-1)}` }),
    };
  }

  #valuesOf(name: string): readonly string[] {
    const values = this.#secrets.get(name);
    if (values === undefined) throw new VdcError("NOT_FOUND", `there is no secret '${name}'`);
    return values;
  }
}
